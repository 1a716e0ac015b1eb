"""The launch scripts, installed as the commands ``bnnjax-stylize``, ``bnnjax-port`` …"""
