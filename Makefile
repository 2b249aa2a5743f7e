# make quickstart   from nothing to a verified .onnx
# make test         the whole test suite
# make check        lint, format, types
# make docs         the documentation site, and its code blocks run
# make kits         every kit, checked in its own runtime
# make wheel        the wheel in dist/, installed elsewhere and used
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Python compiles a module when it is first imported; pip would compile all of them, tests of other packages too, one after
# the other. Where Python may not write what it compiled, all but tests is compiled at once, on every core.
COMPILE := $(if $(PYTHONDONTWRITEBYTECODE),$(BIN)/python -m compileall -qq -j 0 -x '/tests?/' $(VENV)/lib toolkit exporters || true)
INSTALL := install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt
PIP := $(BIN)/python -m pip $(INSTALL)
# A new pip finds packages in half the time; the others build this one, which pip would else install elsewhere to do so.
BUILDERS := pip hatchling hatch-fancy-pypi-readme

.PHONY: quickstart install test test-slow test-hostile test-fuzz test-cuda test-cuda-libraries test-device conform proto test-oip parity-all kits docs docs-full wheel check format clean

quickstart: $(VENV)/.installed
	$(BIN)/toolkit quickstart

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv --without-pip $(VENV)
	@# Setting up the pip that lies beside Python, to have it install a new one, takes longer than asking Python's own.
	$(PYTHON) -m pip --python $(BIN)/python $(INSTALL) $(BUILDERS) 2>/dev/null \
		|| { $(BIN)/python -m ensurepip && $(PIP) $(BUILDERS); }
	$(PIP) --no-build-isolation --editable .
	$(COMPILE)
	touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(PIP) --no-build-isolation --editable '.[dev,openvino,runtimes,tensorboard,tune,parquet,ray,loadgen,kits,serve,serve-grpc]'
	$(COMPILE)
	touch $@

$(VENV)/.docs: $(VENV)/.dev
	$(PIP) --no-build-isolation --editable '.[docs]'
	$(COMPILE)
	touch $@

# The quick suite: no network, nothing over seconds.
test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 3 \
		-m "not slow and not hostile and not fuzz and not kits and not docs and not wheel and not oip and not network" \
		$(if $(COVERAGE),--cov --cov-report=term:skip-covered)

test-slow: $(VENV)/.dev
	$(BIN)/python -m pytest -m slow

# Hostile and broken model files, made by the tests, through every command that reads one.
test-hostile: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 -m hostile tests/cli/test_hostile.py

# Thousands of mutated image files through `toolkit predict`: answers or error rows, in bounded time and memory.
test-fuzz: $(VENV)/.dev
	$(BIN)/python -m pytest -m fuzz tests/prediction/test_predict_fuzz.py

# Every kit from the quickstart's model and from one of coloured images, each run in its own runtime: node, a headless
# Chromium, a C compiler. System packages are listed in .ci/apt.txt; what is missing is a check that did not run.
kits: $(VENV)/.dev
	test -f artifacts/latest.json || $(BIN)/toolkit quickstart
	for name in ort-node ort-web; do $(BIN)/toolkit runtimes install $$name || exit; done
	$(BIN)/toolkit export $$($(BIN)/python -c 'from toolkit.artifacts import ArtifactStore; print(ArtifactStore.default().latest_model())') \
		--kit all --check --force
	TOOLKIT_RUNTIMES="$$($(BIN)/python -c 'from toolkit.runtimes.installed import private_root; print(private_root())')" \
		TOOLKIT_KITS_MODEL="$(CURDIR)/$$($(BIN)/python -c 'from toolkit.artifacts import ArtifactStore; print(ArtifactStore.default().latest_model())')" \
		$(BIN)/python -m pytest -m kits tests/exporting

# The documentation site, strictly, into build/site; then every code block of README and the guides.
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	$(BIN)/python -m pytest -n 2 -m docs tests/docs

# The wheel and the sdist, in dist/: built, looked into, installed into an empty environment, used from an unrelated folder.
wheel: $(VENV)/.dev
	rm -rf dist
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m build
	TOOLKIT_DIST=dist $(BIN)/python -m pytest -m wheel tests/wheel

# The tutorial's notebook with its published settings: fetches MNIST, trains twice, stores its outputs.
docs-full: $(VENV)/.docs
	$(BIN)/python benchmarks/tutorial.py

# Every row of the Open Inference Protocol against a server: `make conform URL=http://127.0.0.1:8000 [MODEL=digits]`, over
# gRPC `GRPC=127.0.0.1:8001`, both or one of them. Without either against `toolkit serve`, with the rows about load, the end
# and hostile clients. QUICK=1 leaves hostile clients out.
conform: $(VENV)/.dev
	TOOLKIT_OIP_URL=$(URL) TOOLKIT_OIP_GRPC=$(GRPC) TOOLKIT_OIP_MODEL=$(MODEL) $(BIN)/python -m pytest \
		-m "oip$(if $(QUICK), and not slow)" tests/oip$(if $(GRPC),$(if $(URL),,/over_grpc))

# The messages of gRPC, compiled; a test holds them against their files.
proto: $(VENV)/.dev
	for name in serving/grpc/inference runtimes/oip/client; do $(BIN)/python -m grpc_tools.protoc -I toolkit/$$(dirname $$name) \
		--descriptor_set_out=toolkit/$$name.binpb $$(basename $$name).proto || exit; done

# The same rows against real Triton, whose server a wheel carries: what it answers otherwise is listed, and held to the list.
# Then Triton's clients, unchanged, against `toolkit serve`. QUICK=1: of Triton itself the rows of metadata alone.
TRITON := build/triton
CLIENTS := build/triton-clients
test-oip: $(VENV)/.dev
	test -x $(TRITON)/bin/python || $(PYTHON) -m venv $(TRITON)
	$(TRITON)/bin/python -m pip install --quiet --disable-pip-version-check numpy==1.26.4 onnxruntime==1.32.0
	$(TRITON)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps nvidia-pytriton==0.7.0
	TOOLKIT_TRITON=$(TRITON) $(BIN)/python -m pytest -m oip tests/oip$(if $(QUICK),/test_metadata.py)
	test -x $(CLIENTS)/bin/python || $(PYTHON) -m venv $(CLIENTS)
	$(CLIENTS)/bin/python -m pip install --quiet --disable-pip-version-check 'tritonclient[grpc,http]==2.73.0'
	TOOLKIT_TRITON_CLIENTS=$(CLIENTS) $(BIN)/python -m pytest -m oip tests/oip/test_triton_clients.py

# Every engine that installs here, on the latest model: table, JSON and heat map.
parity-all: $(VENV)/.dev
	for name in ort-node ort-web mnn ncnn tinygrad; do $(BIN)/toolkit runtimes install $$name || exit; done
	$(BIN)/toolkit parity --runtime all --threads 0 --optimisation all --force \
		--output artifacts/reports/parity-all.json --picture artifacts/reports/parity-all.png

# All that can be shown of a CUDA device, on one page, then the CUDA tests; both JSONs can be sent back.
test-cuda: $(VENV)/.dev
	mkdir -p artifacts/reports
	$(BIN)/toolkit prove --provider cuda --output artifacts/proofs/test-cuda --force || echo "prove: see its page"
	TOOLKIT_CUDA_REPORT=artifacts/reports/test-cuda.json $(BIN)/python -m pytest tests/cuda

# NVIDIA's libraries and the CUDA build of torch, without a driver: 6 GB into a Python of their own.
CUDA_LIBRARIES := build/cuda-libraries
test-cuda-libraries: $(VENV)/.dev
	test -x $(CUDA_LIBRARIES)/bin/python || $(PYTHON) -m venv $(CUDA_LIBRARIES)
	$(CUDA_LIBRARIES)/bin/python -m pip install --quiet --disable-pip-version-check \
		torch==2.14.1 'onnxruntime-gpu[cuda,cudnn]==1.31.1'
	TOOLKIT_CUDA_LIBRARIES=$(CUDA_LIBRARIES) $(BIN)/python -m pytest tests/cuda_libraries

# WebGPU on a device: ONNX Runtime for Python and for node, the web kit in a headless Chromium. On Chromium's software device,
# unless VULKAN= leaves the choice to the machine's own drivers. QUICK=1 leaves the slow ones out.
CHROMIUM := /usr/lib/chromium
VULKAN ?= LD_LIBRARY_PATH=$(CHROMIUM) VK_ICD_FILENAMES=$(CHROMIUM)/vk_swiftshader_icd.json
test-device: $(VENV)/.dev
	for name in ort-webgpu ort-node ort-web; do $(BIN)/toolkit runtimes install $$name || exit; done
	TOOLKIT_RUNTIMES="$$($(BIN)/python -c 'from toolkit.runtimes.installed import private_root; print(private_root())')" \
		$(VULKAN) $(BIN)/python -m pytest -m "device$(if $(QUICK), and not slow)" tests/device

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.*
