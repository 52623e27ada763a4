"""Something that never rests: a process of the environment writes the time into a file, over and over."""

import os
import subprocess
import tempfile

clock = os.environ.get("CLOCK") or os.path.join(tempfile.gettempdir(), "clock")
subprocess.Popen([os.path.join(os.environ["LAMBDA_TASK_ROOT"], "ticker"), clock])


def handler(event, context):
    return event
