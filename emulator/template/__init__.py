"""AWS SAM and CloudFormation templates as a configuration of the emulator."""

from __future__ import annotations

from emulator.template.template import Template, is_template, read_template

__all__ = ["Template", "is_template", "read_template"]
