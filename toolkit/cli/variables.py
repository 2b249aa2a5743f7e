"""Environment variables that are read, with what each changes: help and the reference tell them from here."""

from __future__ import annotations

__all__ = ["OTHER_VARIABLES", "VARIABLES"]

VARIABLES = {
    "TOOLKIT_ARTIFACTS": "Where results go; ./artifacts by default.",
    "TOOLKIT_DATA": "Where fetched data sets lie; the user's cache by default.",
    "TOOLKIT_CACHE": "Where probed files are noted; the user's cache by default.",
    "TOOLKIT_RUNTIMES": "Where added engines lie; the user's own data by default.",
    "TOOLKIT_TIME_LIMIT": "Most seconds that one request to an engine may take; none by default.",
    "TOOLKIT_TOKEN_FILE": "File of the bearer token that --at sends to a server; none by default.",
    "TOOLKIT_AUTHOR": "The author in an exported card, as --author.",
    "TOOLKIT_LICENCE": "The licence in an exported card, as --licence.",
}
# Of others, who say what they mean.
OTHER_VARIABLES = {
    "SSL_CERT_FILE": "Certificates by which that of a server behind --at is checked; the system's by default.",
    "XDG_CACHE_HOME": "The user's cache: ~/.cache by default; a relative one is ignored.",
    "XDG_DATA_HOME": "The user's data folder: ~/.local/share by default; a relative one is ignored.",
    "TERM": "Where it is dumb or unknown, no progress bars are drawn.",
    "LC_ALL": "Where it names the locale C or POSIX, bars are drawn in ASCII.",
    "LANG": "As LC_ALL, where that is not set.",
    "PATH": "Where programs are looked for: node, npm, a C compiler, nvidia-smi.",
    "CC": "The C compiler that the C kit's check and the engine plain-c use; cc, gcc or clang by default.",
    "PYTHONPATH": "Passed on to child processes, but not to engines with an environment of their own.",
    "PYTHONHOME": "As PYTHONPATH.",
    "OMP_NUM_THREADS": "Threads of OpenMP: obeyed by the engines, recorded in every report.",
    "MKL_NUM_THREADS": "The same of MKL.",
    "OPENBLAS_NUM_THREADS": "The same of OpenBLAS.",
    "OMP_WAIT_POLICY": "How OpenMP's threads wait: recorded; where it is set, training leaves GOMP_SPINCOUNT alone.",
    "GOMP_SPINCOUNT": "How long they spin: training sets 100000 where neither is set.",
    "MALLOC_TRIM_THRESHOLD_": "Where one of these four is set, training leaves glibc's allocator as it is.",
    "MALLOC_MMAP_MAX_": "As MALLOC_TRIM_THRESHOLD_.",
    "MALLOC_MMAP_THRESHOLD_": "As MALLOC_TRIM_THRESHOLD_.",
    "GLIBC_TUNABLES": "As MALLOC_TRIM_THRESHOLD_.",
    "CUDA_VISIBLE_DEVICES": "Which GPUs CUDA sees; named in the message where it hides all of them.",
    "LD_LIBRARY_PATH": "Where the doctor looks for NVIDIA's libraries first, as the loader does.",
    "GRPC_VERBOSITY": "Set to NONE for gRPC where it is not set: what goes wrong is told in a line of ours.",
    "NOTIFY_SOCKET": "Set by systemd, which is told there when serve takes requests.",
    "RANK": "Set by torchrun: which of the processes that train together this is.",
    "LOCAL_RANK": "Set by torchrun: the same on this machine, and the GPU that the process takes.",
    "WORLD_SIZE": "Set by torchrun: how many they are.",
    "RAY_ADDRESS": "The cluster of --executor ray; a new one on this machine by default.",
    "RAY_USAGE_STATS_ENABLED": "Set to 0 for Ray where it is not set: it reports nothing.",
    "RAY_BACKEND_LOG_LEVEL": "Set to fatal for Ray where it is not set.",
}
