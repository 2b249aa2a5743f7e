"""The commands of a proof, in their order, each with what it needs and what it leaves for the others."""

from __future__ import annotations

__all__ = ["MODEL", "PICTURES", "ProofConfig", "ProofStep", "plan_steps"]

from dataclasses import dataclass

from toolkit.errors import UsageError, require_known

# From the most likely alone to what fills a device; a power of 8 apart. A software device takes seconds for 8.
BATCHES, FEW_BATCHES = (1, 8, 64, 512, 4096), (1, 8)
PROVABLE = ("cuda", "webgpu", "cpu")
# Which kits know the provider, and how they are asked for it.
KITS: dict[str, tuple[tuple[str, ...], ...]] = {
    "cuda": tuple((kit, "--kit-provider", "cuda") for kit in ("python", "node", "cpp")),
    "webgpu": (("web", "--webgpu"),),
    "cpu": (("python",), ("node",), ("cpp",)),
}
MOST_MINUTES = 24 * 60
MODEL, HALF_MODEL = "model.onnx", "model.fp16.onnx"
PICTURES = "pictures.npy"
PICTURE_COUNT, FEW_PICTURES = 10_000, 200
SPARE = ("train", "--data", "mnist-mini", "--device", "cpu", "--epochs", "1", "--name", "spare")
EXPORT = ("export", "{run}", "--precision", "fp32,fp16", "--output", MODEL)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofConfig:
    """What is to be proven, and in how long.

    Attributes:
        provider: `cuda` or `webgpu`, or `cpu` as a rehearsal.
        data: a data set's name, or where one lies.
        minutes: most of them for all steps together.
        quick: two epochs, few batch sizes, short measurements, a sample of the images.
    """

    provider: str = "cuda"
    data: str = "mnist"
    minutes: float = 10.0
    quick: bool = False

    def __post_init__(self) -> None:
        require_known(self.provider, PROVABLE, what="provider of a proof")
        if not 0 < self.minutes <= MOST_MINUTES:
            raise UsageError(f"--minutes is {self.minutes:g}; expected more than 0, {MOST_MINUTES} at most")

    @property
    def pictures(self) -> int:
        """How many are predicted."""
        return FEW_PICTURES if self.quick else PICTURE_COUNT


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofStep:
    """A command.

    Attributes:
        name: of the step.
        words: what is typed after `toolkit`; `{run}` stands for the best run that is there.
        needs: what another step has to have left: `run` or `model`; empty: nothing.
        gives: what it leaves: one of those; of a run, its last word is the name.
        is_spare: run only where what it gives is missing.
        is_optional: the proof holds without it where this machine lacks a tool for it.
    """

    name: str
    words: tuple[str, ...]
    needs: str = ""
    gives: str = ""
    is_spare: bool = False
    is_optional: bool = False


def plan_steps(config: ProofConfig) -> list[ProofStep]:
    """Return the commands of a proof.

    No step is left out for what one before it said: where a run is missing, one that was trained on the processor
    takes its place, so that everything behind it is still tried.
    """
    provider, has_device = config.provider, config.provider != "cpu"
    on = ("--provider", provider)
    batches = ",".join(map(str, FEW_BATCHES if config.quick else BATCHES))
    bench = ("bench", MODEL, *on, "--batch", batches, "--seconds", "0.5" if config.quick else "2")
    parity = ("--threads", "0", "--optimisation", "all", *(("--sample", "50") if config.quick else ()))
    plain = ("parity", MODEL, "--provider", f"cpu,{provider}" if has_device else provider, *parity)
    half = ("parity", HALF_MODEL, *on, *parity)
    epochs = ("--epochs", "2") if config.quick else ()
    train = ("train", "--data", config.data, "--device", "cuda" if provider == "cuda" else "cpu")
    steps = [
        ProofStep(name="doctor", words=("doctor", "--require", f"{provider},torch/{train[-1]}")),
        ProofStep(name="train an epoch", words=(*train, "--epochs", "1", "--name", "epoch"), gives="run"),
        ProofStep(name="train", words=(*train, *epochs, "--name", "whole"), gives="run"),
        ProofStep(name="train on the processor", words=SPARE, gives="run", is_spare=True),
        ProofStep(name="export", words=EXPORT, needs="run", gives="model"),
        _judge("parity", *plain),
        _judge("parity of fp16", *half),
        _judge("bench", *bench, "--io-binding", "on,off"),
        _judge("bench of fp16", *bench, "--precision", "fp32,fp16"),
    ]
    if provider != "webgpu":
        steps.append(_judge("bench of torch", *bench, "--runtime", "ort,torch"))
    if provider == "cuda":
        steps += [
            _judge("bench on the device", *bench, "--boundary", "device"),
            _judge("bench of graphs", *bench, "--cuda-graph"),
            _judge("parity in TF32", "parity", MODEL, *on, "--precision", "tf32", *parity),
        ]
    steps.append(_judge("predict", "predict", MODEL, PICTURES, *on, "--output", "rows.csv"))
    for kit in KITS[provider]:
        words = ("export", MODEL, "--kit", *kit, "--check")
        steps.append(ProofStep(name=f"kit {kit[0]}", words=words, needs="model", is_optional=True))
    return steps


def _judge(name: str, *words: str) -> ProofStep:
    return ProofStep(name=name, words=words, needs="model")
