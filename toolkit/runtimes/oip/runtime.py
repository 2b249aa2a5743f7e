"""Any server of the Open Inference Protocol, version 2: what it answers is held against the file.

The protocol: https://github.com/kserve/open-inference-protocol.
"""

from __future__ import annotations

__all__ = ["FullError", "OipRuntime"]

import itertools
import os
import time
from abc import abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import numpy as np

from toolkit.errors import ResourceError, UsageError, WrongAnswerError
from toolkit.onnx_file.element_types import TensorSpec
from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.base import Arrays, Runtime
from toolkit.runtimes.oip.address import TOKEN_VARIABLE, Address, read_address
from toolkit.runtimes.oip.tensors import DATATYPES, drop_ones, require_same
from toolkit.runtimes.providers import REMOTE

# A server that says it is full is asked again for so long.
FULL_S = 30.0


class OipRuntime(Runtime):
    """A file that a server at `settings.at` says it serves, however it is asked.

    With `runs_at_once` over 1 so many requests go out at once: the batch whole, and in pieces of uneven sizes. What is
    returned, and so held against the reference, is the answer to the whole one in every other call, else the joined
    ones.
    """

    schemes: ClassVar[tuple[str, ...]]
    example: ClassVar[str]

    @abstractmethod
    def _connect(self) -> None:
        """Make ready to ask the server at `self._address`."""

    @abstractmethod
    def _greet(self) -> str:
        """Return the server's name and version.

        Raises:
            ResourceError: it speaks something else.
        """

    @abstractmethod
    def _list_models(self) -> list[str]:
        """Return the names of the models that the server lists; none where it lists none."""

    @abstractmethod
    def _describe(self, model: str) -> dict[str, Any] | str:
        """Return the metadata of a model that is ready, or what the server says where it has none of that name.

        Raises:
            ResourceError: it is not ready.
        """

    @abstractmethod
    def _ask(self, feeds: Arrays) -> dict[str, Any]:
        """Send one request and return the outputs.

        Raises:
            FullError: the server has no room.
            ModelError: it refuses the request.
            WrongAnswerError: its answer is none.
        """

    @abstractmethod
    def _hang_up(self) -> None:
        """Close what is open; a second call does nothing."""

    def _open(self, source: ModelSource) -> None:
        if not self.settings.at:
            raise UsageError(f"runtime {self.name} asks a server; name it with --at {self.example}")
        self._address: Address = read_address(self.settings.at, schemes=self.schemes, example=self.example)
        self._numbers, self._calls = itertools.count(), itertools.count()
        self._connect()
        self._pool = ThreadPoolExecutor(self.settings.runs_at_once)
        try:
            self._meet(source)
        except BaseException:
            self.close()
            raise

    def _meet(self, source: ModelSource) -> None:
        """Read what the server says of itself and of the model, and hold it against the file."""
        version = self._greet()
        told = self._find_model(source.path.stem)
        info = self._describe_file(source, version=version)
        ranks = {spec.name: len(spec.shape) for spec in info.outputs}
        for item in told["outputs"]:
            item["shape"] = drop_ones(item["shape"], ranks.get(item["name"], 0))
        for role, specs in (("inputs", info.inputs), ("outputs", info.outputs)):
            require_same(told[role], specs, words=f"model {self._model!r} at {self.settings.at} has the {role}")
        details = {"at": self.settings.at, "model": self._model, "versions": told.get("versions")}
        self.info = replace(info, provider_active=REMOTE, details=details)
        self._specs: dict[str, TensorSpec] = {spec.name: spec for spec in info.outputs}
        self._is_open = all(
            spec.shape and spec.shape[0] == info.inputs[0].shape[0] and not isinstance(spec.shape[0], int)
            for spec in (*info.inputs, *info.outputs)
        )

    def _find_model(self, name: str) -> dict[str, Any]:
        """Return the metadata of the model and keep its name: the address', else the file's, else the only one's."""
        names = [self._address.model or name]
        if self._address.model is None and len(listed := self._list_models()) == 1:
            names += listed
        for self._model in names:
            told = self._describe(self._model)
            if not isinstance(told, str):
                return told
        version = f" of version {self._address.version}" if self._address.version else ""
        raise ResourceError(
            f"{self._address.root} serves no model {names[0]!r}{version} ({told}); name the one that it serves: "
            f"--at {self._address.root}/v2/models/NAME"
        )

    def compute(self, feeds: Arrays) -> dict[str, Any]:
        """Ask once, or several times at once; see `Runtime.compute`."""
        if self.settings.runs_at_once == 1:
            return self._ask_patiently(feeds)
        call = next(self._calls)
        whole, *answers = self._pool.map(self._ask_patiently, [feeds, *self._cut(feeds, seed=call)])
        if call % 2:
            return whole
        return {name: np.concatenate([answer[name] for answer in answers]) for name in whole}

    def _cut(self, feeds: Arrays, *, seed: int) -> list[Arrays]:
        """Return a batch in pieces of uneven sizes, in its order; whole where the file leaves no batch open."""
        count = len(next(iter(feeds.values()))) if self._is_open else 1
        order = np.random.default_rng(seed).permutation(count - 1)
        cuts = np.sort(order[: self.settings.runs_at_once - 2]) + 1
        pieces = {name: np.split(array, cuts) if len(cuts) else [array] for name, array in feeds.items()}
        return [{name: arrays[part] for name, arrays in pieces.items()} for part in range(len(cuts) + 1)]

    def prepare(self, feeds: Arrays, *, boundary: str = "host") -> Callable[[], object]:
        """Return one request with all its parts, from arrays to arrays; see `Runtime.prepare`."""
        super().prepare(feeds, boundary=boundary)
        return partial(self._ask, feeds)

    def close(self) -> None:
        """Close every connection; a second call does nothing."""
        self._pool.shutdown()
        self._hang_up()

    def _ask_patiently(self, feeds: Arrays) -> dict[str, Any]:
        end = time.monotonic() + FULL_S
        while True:
            try:
                return self._ask(feeds)
            except FullError as error:
                if time.monotonic() + error.wait_s > end:
                    raise
                time.sleep(error.wait_s)

    def _needs_token(self, words: str) -> ResourceError:
        """Return what is raised where the server lets in who has a token."""
        file = os.environ.get(TOKEN_VARIABLE)
        has = f"{file}, which {TOKEN_VARIABLE} names, holds another one" if file else ""
        hint = has or f"name the file that holds it in the variable {TOKEN_VARIABLE}"
        return ResourceError(f"{self.settings.at} lets us in with a token only ({words}); {hint}")

    def _number(self) -> str:
        """Return an id that no other request of this process has."""
        return f"{id(self):x}-{next(self._numbers)}"

    def _input_datatype(self, name: str) -> str:
        return DATATYPES[next(spec.dtype for spec in self.info.inputs if spec.name == name)]

    def _require_own(self, *, asked: str, told: Any, model: Any) -> None:
        """Refuse an answer to somebody else."""
        if told != asked or model != self._model:
            raise WrongAnswerError(
                f"the answer is of request {told!r} to model {model!r}; asked was {asked!r} of {self._model!r}"
            )

    def _find_output(self, name: str, datatype: str) -> TensorSpec:
        """Return what the file has under an output's name."""
        spec = self._specs.get(name)
        if spec is None or datatype != DATATYPES[spec.dtype]:
            raise WrongAnswerError(f"output {name!r} comes as {datatype}; expected {self._specs}")
        return spec


class FullError(ResourceError):
    """The server has no room now.

    Args:
        words: what it says.
        wait_s: after how long it may have some.
    """

    def __init__(self, words: str, *, wait_s: float) -> None:
        super().__init__(f"the server has no room: {words}")
        self.wait_s = wait_s
