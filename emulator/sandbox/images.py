"""Which image serves a runtime.

AWS's public base images are the default. Where they are not present and cannot be fetched, stand-ins with the
same layout serve, if they were built (docker/build-images); the emulator says so wherever it reports itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from emulator.errors import EngineError, ImageNotFoundError
from emulator.model import Function
from emulator.sandbox.engine import Engine
from emulator.sandbox.engine_records import ImageDetails

__all__ = ["ChosenImage", "choose_image"]

_AWS = "public.ecr.aws/lambda"
_STAND_IN = "lambda-freezer"
_PYTHON = re.compile(r"python(3\.\d+)")


@dataclass(frozen=True, slots=True)
class ChosenImage:
    """An image and, where it is not what AWS would run, a sentence that says so."""

    name: str
    details: ImageDetails
    note: str = ""


async def choose_image(engine: Engine, function: Function) -> ChosenImage:
    """The function's own image, else AWS's for its runtime, else a stand-in.

    Raises:
        ImageNotFoundError: none of them is here, and none can be fetched.
    """
    if function.image is not None:
        return await _required(engine, function.image, function)
    version = _PYTHON.fullmatch(function.runtime)
    if version is None:
        raise ImageNotFoundError(
            f"function {function.name}: no image is known for the runtime {function.runtime!r}",
            cure='Supported: python3.9 to python3.14; or name an image: image = "...".',
        )
    aws = f"{_AWS}/python:{version[1]}"
    if (details := await engine.image(aws)) is not None:
        return ChosenImage(aws, details)
    exact = f"{_STAND_IN}/python:{version[1]}"
    if (details := await engine.image(exact)) is not None:
        return ChosenImage(exact, details, f"{function.runtime} runs in the stand-in image {exact}.")
    others = await engine.image_names(f"{_STAND_IN}/python")
    if others and (details := await engine.image(others[-1])) is not None:
        python = others[-1].rpartition(":")[2]
        return ChosenImage(
            others[-1],
            details,
            f"{function.runtime} runs on Python {python}, in the stand-in image {others[-1]}.",
        )
    return await _fetched(engine, aws, function)


async def _required(engine: Engine, name: str, function: Function) -> ChosenImage:
    if (details := await engine.image(name)) is not None:
        return ChosenImage(name, details)
    return await _fetched(engine, name, function)


async def _fetched(engine: Engine, name: str, function: Function) -> ChosenImage:
    try:
        await engine.pull(name)
    except EngineError as error:
        raise ImageNotFoundError(
            f"function {function.name}: the image {name} is not here and cannot be fetched: {error.message}",
            cure="Build stand-ins from Debian packages with docker/build-images, or name a local image.",
        ) from error
    details = await engine.image(name)
    assert details is not None, "an image that was just fetched is there"
    return ChosenImage(name, details)
