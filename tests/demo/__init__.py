"""The demo: the main job of clusterd on three real node hosts, each claim read back.

``python -m tests.demo up`` and ``down``; ``make demo`` and ``make demo-down`` call them.
"""
