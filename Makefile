# The commands a newcomer needs are `make demo` and `make test`; each sets up what it needs.

PYTHON  ?= python3
CARGO   ?= cargo
RUNTIME := build/onnxruntime
STATIC  := x86_64-unknown-linux-musl
ARM     := aarch64-unknown-linux-gnu
PLUGIN_PYTHON := build/plugin-python
DICOM_PEERS := build/dicom-peers
NVRTC   := build/nvrtc
DICOM_SAMPLES := build/dicom-samples
MODE    ?= monolith

.DEFAULT_GOAL := help
.PHONY: help build mask-services demo demo-dicom images up down test bench bench-nnunet bench-network bench-masks bench-modes bench-memory bench-load bench-gpu docs fmt lint onnxruntime onnxruntime-openvino plugin-python node-client nats-server nvrtc dicom-samples dicom-peers test-dicom test-jobs test-neon test-gpu bench-jobs test-containers clean

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 24

onnxruntime: ## fetch the pinned ONNX Runtime (CPU) and unpack its shared library
	@$(PYTHON) image-core/engine/onnxruntime/fetch.py --flavor cpu --out $(RUNTIME)

onnxruntime-openvino: ## the same with Intel's OpenVINO provider
	@$(PYTHON) image-core/engine/onnxruntime/fetch.py --flavor openvino --out $(RUNTIME)

plugin-python: ## Python environment of the plugin template, for the tests that run it
	@test -x $(PLUGIN_PYTHON)/bin/python || { $(PYTHON) -m venv $(PLUGIN_PYTHON) && \
	    $(PLUGIN_PYTHON)/bin/pip install --quiet -r mask-services/plugins/python-template/requirements.txt; } || \
	    { rm -rf $(PLUGIN_PYTHON); echo "no Python environment: the tests of the Python plugin will be skipped"; }

node-client: ## packages of the Node client, for the test that runs it
	@test -d compose/client-node/node_modules || (cd compose/client-node && npm ci --silent --ignore-scripts --no-audit --no-fund) || \
	    { rm -rf compose/client-node/node_modules; echo "no Node, or no packages for it: the tests of the Node client will be skipped"; }

nats-server: ## fetch the pinned NATS server, for the tests of jobs on many machines
	@$(PYTHON) image-core/jobs/nats/server/fetch.py --out build/nats-server || echo "no NATS server: the tests that need one will be skipped"

nvrtc: ## fetch the pinned NVRTC, for the test that compiles the kernels of NVIDIA cards; no card is needed
	@$(PYTHON) image-core/engine/cuda/nvrtc/fetch.py --out $(NVRTC) || echo "no NVRTC: the test that compiles the kernels of cards will be skipped"

dicom-peers: ## Python environment with other programs that read and write DICOM objects
	@test -x $(DICOM_PEERS)/bin/python || { $(PYTHON) -m venv $(DICOM_PEERS) && \
	    $(DICOM_PEERS)/bin/pip install --quiet -r proto/dicom/objects/tests/peers.txt; } || \
	    { rm -rf $(DICOM_PEERS); echo "no Python environment: the comparison with other programs will be skipped"; }

dicom-samples: ## fetch the pinned wheels whose DICOM files tests read
	@$(PYTHON) proto/dicom/tests/samples/fetch.py --out $(DICOM_SAMPLES) || echo "no DICOM samples: the tests that need them will be skipped"

build: onnxruntime ## the optimized binary target/release/nephrite, with the demo
	$(CARGO) build --release --locked -p nephrite-image-core --features demo

mask-services: ## the static binary of the mask services, for containers: build/mask-services
	@rustup target list --installed | grep -qx $(STATIC) || rustup target add $(STATIC)
	$(CARGO) build --profile slim --locked --target $(STATIC) -p nephrite-mask-services
	mkdir -p build && cp target/$(STATIC)/slim/mask-services build/mask-services

demo: build ## segment a synthetic patient with three small nnU-Nets; results in demo/
	target/release/nephrite demo --output demo

demo-dicom: build dicom-peers ## the same patient as DICOM series; masks as SEG, RTSTRUCT and SR, compared here and by other programs; in demo-dicom/
	rm -rf demo-dicom
	target/release/nephrite demo --dicom --output demo-dicom
	@if [ -x $(DICOM_PEERS)/bin/python ]; then $(DICOM_PEERS)/bin/python proto/dicom/objects/tests/validate.py demo-dicom; \
	    else echo "other programs did not look at the objects: their Python packages are not there"; fi

images: ## build the container images: core, mask services, client, plugin
	compose/images.sh

up: ## start containers: MODE=monolith (default), hybrid, microservices or cluster; runs the demo case
	compose/up.sh $(MODE) $(OVERRIDES)

down: ## stop the containers
	compose/down.sh

test-containers: ## the modes in real containers; starts a Docker engine where none answers
	tests/containers/run.sh

test: onnxruntime onnxruntime-openvino plugin-python node-client nats-server nvrtc dicom-samples ## all tests, against the optimized libraries
	if [ -z "$${NEPHRITE_CUDA_LIBRARIES:-}" ] && [ -d $(NVRTC) ]; then export NEPHRITE_CUDA_LIBRARIES="$(CURDIR)/$(NVRTC)"; fi; \
	    $(CARGO) test --workspace --locked --release

test-gpu: nvrtc ## kernels and networks on an NVIDIA card of this machine; under compute-sanitizer, too, where it is on the PATH
	@CARGO="$(CARGO)" $(PYTHON) image-core/engine/cuda/test_gpu.py

test-neon: ## the kernels of the CPU with NEON, under an emulator (qemu-user, gcc-aarch64-linux-gnu); a quarter of an hour
	@rustup target list --installed | grep -qx $(ARM) || rustup target add $(ARM)
	CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
	    CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -L /usr/aarch64-linux-gnu" \
	    $(CARGO) test --release --locked --target $(ARM) -p nephrite-cpu

test-dicom: dicom-peers ## validators and other programs on DICOM objects of ours, and our readers on theirs
	$(CARGO) test --locked -p nephrite-dicom-objects --test peers -- --nocapture --ignored

test-jobs: onnxruntime nats-server ## every fault of jobs twenty times, 10000 submissions to a server killed 50 times, cut networks; half an hour
	NEPHRITE_FAULT_REPEATS=20 NEPHRITE_MANY=10000,50 $(CARGO) test --release --locked -p nephrite-image-core --test jobs -- --nocapture faults many
	$(CARGO) test --release --locked -p nephrite-jobs-nats --test nats -- --nocapture --ignored

bench: bench-nnunet bench-network bench-masks bench-modes bench-memory bench-load ## compare with the peers in one run each; writes dated records under benches/runs/

bench-nnunet: build ## compare with nnunetv2
	$(PYTHON) benches/peer/run.py

bench-network: ## one tile of eight networks on the CPU, layer by layer, beside torch and OpenVINO; half an hour
	$(CARGO) build --release --locked -p nephrite-bench-network
	$(PYTHON) benches/network/run.py

bench-masks: mask-services ## compare the mask half with crackle, connected-components-3d and fill_voids
	$(CARGO) build --release --locked -p nephrite-bench-masks
	$(PYTHON) benches/masks/run.py

bench-modes: build mask-services ## one case in the three placements, beside three nnUNetv2_predict processes
	$(PYTHON) benches/modes/run.py

bench-memory: build ## what runs are expected to hold at their peak, beside what they held
	$(PYTHON) benches/memory/run.py --keep

bench-load: build ## a thousand mixed requests, and a storm under a memory cap
	$(PYTHON) benches/load/soak.py
	$(PYTHON) benches/load/storm.py
	$(PYTHON) benches/load/storm.py --waiting 200

bench-gpu: build ## on a machine with an NVIDIA GPU: patches, whole cases, agreement, mixed requests, beside torch and nnunetv2
	$(CARGO) build --release --locked -p nephrite-bench-gpu
	$(PYTHON) benches/gpu/run.py --time-network target/release/time_network

bench-jobs: nats-server ## many simulated workers through the real engines of jobs
	$(CARGO) build --release --locked -p nephrite-bench-jobs
	$(PYTHON) benches/jobs/run.py
	$(PYTHON) benches/jobs/plot.py

docs: ## the book in target/book and the API documentation in target/doc
	$(CARGO) run --locked -p nephrite-docs
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked

fmt: ## format all Rust code
	$(CARGO) fmt --all

lint: ## formatting and clippy, warnings denied
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(CARGO) clippy -p nephrite-image-core --locked -- -D warnings # as delivered: without the demo

clean: ## remove build results, the fetched runtime and demo results
	$(CARGO) clean
	rm -rf build demo demo-dicom
