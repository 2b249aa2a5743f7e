"""What a helper process does first: says that it lives, binds its life to its parent's, finds this package.

Run by its path in any interpreter: `PYTHON -P helper_start.py MODULE DEATH_PIPE`. Nothing heavy is imported before the
sign of life, so that a helper that cannot start is told from one on a busy machine.
"""

from __future__ import annotations

__all__ = ["READY", "SIGN"]

import os
import sys

SIGN = b"alive\n"
# Said by the module itself once all that it needs is imported.
READY = b"ready\n"


def _main() -> None:
    os.write(1, SIGN)
    module, death_pipe = sys.argv[1], int(sys.argv[2])
    _ask_for_death_signal(death_pipe)
    _find_this_package()
    import runpy

    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _ask_for_death_signal(death_pipe: int) -> None:
    """Ask for a parent-death signal: the kernel kills this process's group when the parent's end of a pipe closes.

    PR_SET_PDEATHSIG would follow the *thread* that started this process (prctl(2)). A thread here that waits for the
    end of the pipe could be kept off Python's lock by an engine that hangs. The group takes along what an engine
    started.
    """
    if sys.platform != "linux":  # elsewhere the end of standard input ends it, after its request
        return
    import fcntl
    import select
    import signal

    os.set_inheritable(death_pipe, False)
    fcntl.fcntl(death_pipe, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(death_pipe, fcntl.F_SETOWN, -os.getpgid(0))
    fcntl.fcntl(death_pipe, fcntl.F_SETFL, os.O_ASYNC)
    if select.select([death_pipe], [], [], 0)[0]:  # the parent ended before this was asked for
        os._exit(1)


def _find_this_package() -> None:
    """Make this very package importable, and nothing that lies beside it: there an engine's own versions would lose."""
    import importlib.util

    folder = os.path.abspath(__file__)  # noqa: PTH100 - pathlib takes its time
    for _ in range(3):  # toolkit/runtimes/workers/ and this file
        folder = os.path.dirname(folder)  # noqa: PTH120 - as above
    name = os.path.basename(folder)  # noqa: PTH119 - as above
    path = os.path.join(folder, "__init__.py")  # noqa: PTH118 - as above
    spec = importlib.util.spec_from_file_location(name, path, submodule_search_locations=[folder])
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules[name] = package
    spec.loader.exec_module(package)


if __name__ == "__main__":
    _main()
