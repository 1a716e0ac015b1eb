"""The page: photographs are painted from a browser, by several visitors at a time.

`server.serve` runs it. Visitors wait in one `line.Line`; each sees only what is their own.
"""
