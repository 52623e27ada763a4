"""Which image serves: the function's own, AWS's, a stand-in, or none."""

from __future__ import annotations

from pathlib import Path

import pytest

from emulator.errors import ConfigurationError, EngineError, ImageNotFoundError
from emulator.model import Function
from emulator.runtimes import Runtimes, own_runtime
from emulator.sandbox.engine_records import ImageDetails
from emulator.sandbox.images import ChosenImage, choose_image
from tests.support import in_loop


class Store:
    """An engine with these images, all for one machine, and a registry with those."""

    architecture = "amd64"

    def __init__(self, *names: str, registry: str = "", made_for: str = "amd64") -> None:
        self.names, self._registry, self._made_for = list(names), registry, made_for

    async def image(self, name: str) -> ImageDetails | None:
        return ImageDetails(name, (), (), {}, architecture=self._made_for) if name in self.names else None

    async def image_names(self, repository: str) -> list[str]:
        return [name for name in self.names if name.startswith(f"{repository}:")]

    async def pull(self, name: str) -> None:
        if name != self._registry:
            raise EngineError("no route to host")
        self.names.append(name)


async def choose(store: Store, runtime: str = "nodejs22.x", *, image: str | None = None) -> ChosenImage:
    function = Function(name="orders", code=Path(), runtime=runtime, image=image)
    runtimes = Runtimes({"deno": own_runtime("deno", image="deno:1"), "bare": own_runtime("bare", command=("x",))})
    return await choose_image(store, function, runtimes)


@in_loop
async def test_awss_own_comes_before_stand_ins() -> None:
    """There is nothing to say about it."""
    chosen = await choose(Store("lambda-freezer/nodejs:22", "public.ecr.aws/lambda/nodejs:22"))
    assert (chosen.name, chosen.note, chosen.is_of_lambda) == ("public.ecr.aws/lambda/nodejs:22", "", True)


@in_loop
async def test_a_stand_in_is_told_of() -> None:
    """The same version, before a newer one."""
    chosen = await choose(Store("lambda-freezer/nodejs:24", "lambda-freezer/nodejs:22"))
    assert chosen.name == "lambda-freezer/nodejs:22"
    assert chosen.note == "nodejs22.x runs in the stand-in image lambda-freezer/nodejs:22."


@pytest.mark.parametrize(
    ("runtime", "images", "note"),
    [
        (
            "nodejs22.x",
            ["lambda-freezer/nodejs:18"],
            "nodejs22.x runs on Node.js 18, in the stand-in image lambda-freezer/nodejs:18.",
        ),
        (
            "python3.14",
            ["lambda-freezer/python:3.9", "lambda-freezer/python:3.11"],
            "python3.14 runs on Python 3.11, in the stand-in image lambda-freezer/python:3.11.",
        ),
        (
            "provided.al2",
            ["lambda-freezer/provided:al2023"],
            "provided.al2 runs on al2023, in the stand-in image lambda-freezer/provided:al2023.",
        ),
    ],
)
def test_a_stand_in_of_another_version_serves(runtime: str, images: list[str], note: str) -> None:
    """The newest, by its numbers, with a word about it."""

    @in_loop
    async def look() -> None:
        chosen = await choose(Store(*images), runtime)
        assert (chosen.name, chosen.note) == (images[-1], note)
        assert chosen.is_of_lambda

    look()


@in_loop
async def test_what_is_not_here_is_fetched() -> None:
    """AWS's; where that fails, what to build is told."""
    store = Store(registry="public.ecr.aws/lambda/nodejs:22")
    assert (await choose(store)).name == "public.ecr.aws/lambda/nodejs:22"
    with pytest.raises(ImageNotFoundError, match="cannot be fetched: no route to host") as caught:
        await choose(store, "java21")
    assert "docker/build-images" in caught.value.cure


@in_loop
async def test_a_functions_own_image_is_all_it_takes() -> None:
    """Its runtime need not be known."""
    chosen = await choose(Store("mine:1"), "anything", image="mine:1")
    assert (chosen.name, chosen.is_of_lambda) == ("mine:1", False)
    with pytest.raises(ImageNotFoundError, match="the image none:1 is not here"):
        await choose(Store(), image="none:1")


@in_loop
async def test_a_runtime_of_the_configuration_has_its_image() -> None:
    """Or none; and one that nobody knows is refused."""
    assert (await choose(Store("deno:1"), "deno")).name == "deno:1"
    with pytest.raises(ImageNotFoundError, match="the runtime bare has no image") as caught:
        await choose(Store(), "bare")
    assert '[runtimes."bare"]' in caught.value.cure
    with pytest.raises(ConfigurationError, match="there is no runtime 'cobol'"):
        await choose(Store(), "cobol")


@in_loop
async def test_an_image_for_another_machine_is_told_of() -> None:
    """It may be emulated, so it is not refused."""
    chosen = await choose(Store("mine:1", made_for="arm64"), image="mine:1")
    assert chosen.note == "mine:1 is made for arm64 and this engine runs amd64: it starts only where that is emulated."
    assert (await choose(Store("mine:1", made_for=""), image="mine:1")).note == ""
