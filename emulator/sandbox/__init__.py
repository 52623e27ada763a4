"""Where environments run, and how they are stopped and continued.

Only the rooms in here know Docker, control groups, signals and other processes' sockets.
"""
