# `make run` shows what Apportion does, `make test` checks everything that needs no control plane.

CARGO ?= cargo
# Generated test cases are the same in every run, so a failure is caused by the change. To try more:
# SEED=$RANDOM PROPTEST_CASES=20000 make it
SEED ?= 2

.PHONY: run test fmt lint crates unit generate generated deploy monitoring it e2e bench deny fuzz fuzz-build fuzz-check clean

run: ## Start the server on the example cluster, send pods through it and keep serving
	$(CARGO) build --quiet --bin apportion --example demo
	@target/debug/examples/demo

test: fmt lint crates fuzz-check generated deploy unit it monitoring ## Run what CI runs

fmt: ## Check the formatting
	$(CARGO) fmt --all -- --check
	cd fuzz && $(CARGO) fmt -- --check

lint: ## Run Clippy and build the documentation, with warnings as errors
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked --quiet

crates: ## Check that each crate builds by itself, and that the core needs no runtime
	.ci/crates

# Example cluster, dashboard, command line reference, man pages, completion scripts, manifests.
generate: .venv/ready ## Write the generated files
	python3 examples/cluster/generate.py
	python3 deploy/monitoring/dashboard.py
	$(CARGO) run --quiet --locked --example reference
	.venv/bin/python deploy/render.py

generated: ## Check that generated files are up to date (deploy checks the manifests)
	python3 examples/cluster/generate.py --check
	python3 deploy/monitoring/dashboard.py --check
	$(CARGO) run --quiet --locked --example packing -- --check
	$(CARGO) run --quiet --locked --example reference -- --check

# Helm's SDK as a Python package, so no helm binary is needed.
.venv/ready: tests/deploy/requirements.txt
	python3 -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check -r tests/deploy/requirements.txt
	touch $@

deploy: .venv/ready ## Test chart, manifests and CRD, as far as possible without a control plane
	.venv/bin/python deploy/render.py --check
	KUBEBUILDER_ASSETS=/nonexistent .venv/bin/python -m unittest discover -s tests/deploy

unit: ## Run unit tests, documentation tests and those of the examples
	$(CARGO) test --workspace --locked --doc
	$(CARGO) test --workspace --locked --lib --bins --examples
	$(CARGO) test --locked -p apportion-core --test hostile

# Alert rules with promtool, names of metrics, and `apportion audit` against a real Prometheus.
monitoring: .venv/ready ## Test monitoring
	.ci/prometheus
	$(CARGO) build --locked --bins
	.venv/bin/python -m unittest discover -s tests/monitoring
	.venv/bin/python -m unittest discover -s tests/audit

it: ## Run integration tests: real sockets, real TLS, recorded requests, the real binary
	$(CARGO) build --locked --bins --examples
	PROPTEST_RNG_SEED=$(SEED) $(CARGO) test --locked --test it
	$(CARGO) test --locked --bench scale

# Looks for the binaries in $KUBEBUILDER_ASSETS, else in /usr/local/kubebuilder/bin. Prints SKIPPED
# if they are missing.
e2e: .venv/ready ## Run end-to-end tests on a real control plane
	.venv/bin/python -m unittest discover -s tests/deploy
	$(CARGO) test --locked --test e2e -- --nocapture --test-threads=1

# Takes some minutes. ONLY=filter,memory measures a part. docs/performance.md explains the results.
bench: ## Measure the cost compared with a minimal server, or with another build: REFERENCE=FILE
	$(CARGO) bench --locked --bench scale -- $(if $(ONLY),--only $(ONLY)) $(if $(REFERENCE),--reference $(REFERENCE))

deny: ## Check licenses, duplicate and banned crates (needs cargo-deny)
	$(CARGO) deny check bans licenses sources

fuzz: ## Run each fuzz target for a minute (needs a C++ compiler)
	fuzz/run 60

fuzz-build: ## Build each fuzz target with coverage instrumentation
	fuzz/run build

fuzz-check: ## Check that the fuzz targets compile
	cd fuzz && $(CARGO) check --quiet --locked

clean:
	$(CARGO) clean
