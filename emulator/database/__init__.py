"""The MySQL side: a real server for the functions, and eyes on every session it holds.

``server`` chooses a server by the setting, ``local``, ``hosted`` and ``url`` are the kinds there are;
``observer`` follows the server's sessions, and ``sessions`` says, purely, whose each of them is.
"""
