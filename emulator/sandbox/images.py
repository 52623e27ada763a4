"""Which image serves a runtime.

AWS's public base images are the default. Where they are not present and cannot be fetched, stand-ins with the
same layout serve, if they were built (docker/build-images); the emulator says so wherever it reports itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from emulator.errors import EngineError, ImageNotFoundError
from emulator.model import Function
from emulator.runtimes import Runtime, Runtimes
from emulator.sandbox.engine_records import ImageDetails

__all__ = ["ChosenImage", "ImageStore", "choose_image", "image_at_hand"]


class ImageStore(Protocol):
    """The part of an engine that has the images."""

    @property
    def architecture(self) -> str: ...

    async def image(self, name: str) -> ImageDetails | None: ...

    async def image_names(self, repository: str) -> list[str]: ...

    async def pull(self, name: str) -> None: ...


@dataclass(frozen=True, slots=True)
class ChosenImage:
    """An image and, where it is not what AWS would run, a sentence that says so.

    ``is_of_lambda``: it is one of AWS's base images or a stand-in for one, so that it is known what is in it.
    """

    name: str
    details: ImageDetails
    note: str = ""
    is_of_lambda: bool = False


async def choose_image(store: ImageStore, function: Function, runtimes: Runtimes) -> ChosenImage:
    """The function's own image, else its runtime's, else a stand-in.

    Raises:
        ImageNotFoundError: none of them is here, and none can be fetched.
        ConfigurationError: there is no such runtime.
    """
    if function.image is not None:
        return _with_note(store, await _required(store, function.image, function))
    runtime = runtimes.find(function.runtime)
    if not runtime.image:
        raise ImageNotFoundError(
            f"function {function.name}: the runtime {runtime.name} has no image",
            cure=f'Say image = "..." in [runtimes."{runtime.name}"], or use processes: sandbox = "process".',
        )
    chosen = await image_at_hand(store, runtime)
    return _with_note(store, chosen if chosen is not None else await _fetched(store, runtime.image, function))


async def image_at_hand(store: ImageStore, runtime: Runtime) -> ChosenImage | None:
    """What serves a runtime without being fetched: its image, else its stand-in, else that of another version."""
    if (details := await store.image(runtime.image)) is not None:
        return ChosenImage(runtime.image, details, is_of_lambda=runtime.is_of_lambda)
    if not runtime.stand_in:
        return None
    exact = f"{runtime.stand_in}:{runtime.version}"
    if (details := await store.image(exact)) is not None:
        return ChosenImage(exact, details, f"{runtime.name} runs in the stand-in image {exact}.", True)
    name = _newest(await store.image_names(runtime.stand_in))
    if name is not None and (details := await store.image(name)) is not None:
        version = runtime.on(name.rpartition(":")[2])
        return ChosenImage(name, details, f"{runtime.name} runs on {version}, in the stand-in image {name}.", True)
    return None


def _newest(names: Sequence[str]) -> str | None:
    """By the numbers in the tag: 3.11 is newer than 3.9."""

    def numbers(name: str) -> list[tuple[int, str]]:
        return [(int(part), "") if part.isdigit() else (0, part) for part in name.rpartition(":")[2].split(".")]

    return max(names, key=numbers, default=None)


def _with_note(store: ImageStore, chosen: ChosenImage) -> ChosenImage:
    made_for, here = chosen.details.architecture, store.architecture
    if not made_for or not here or made_for == here:
        return chosen
    note = f"{chosen.name} is made for {made_for} and this engine runs {here}: it starts only where that is emulated."
    return replace(chosen, note=f"{chosen.note} {note}".strip())


async def _required(store: ImageStore, name: str, function: Function) -> ChosenImage:
    if (details := await store.image(name)) is not None:
        return ChosenImage(name, details)
    return await _fetched(store, name, function)


async def _fetched(store: ImageStore, name: str, function: Function) -> ChosenImage:
    try:
        await store.pull(name)
    except EngineError as error:
        raise ImageNotFoundError(
            f"function {function.name}: the image {name} is not here and cannot be fetched: {error.message}",
            cure="Build stand-ins from Debian packages with docker/build-images, or name a local image.",
        ) from error
    details = await store.image(name)
    assert details is not None, "an image that was just fetched is there"
    return ChosenImage(name, details)
