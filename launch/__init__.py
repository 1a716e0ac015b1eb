"""The launch scripts; installed, they are the commands ``bnnjax-stylize``, ``bnnjax-port`` …"""
