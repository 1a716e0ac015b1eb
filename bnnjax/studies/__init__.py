"""Studies: the article's findings, repeated with figures.

Each study makes many pictures that differ in some settings, measures them, and shows them side by
side. All of them stand on `stylize_batch` and `bnnjax.judge`. `sweep` is public as `bnnjax.sweep`.
"""
