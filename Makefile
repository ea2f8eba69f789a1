# Thin names for what people and CI do. `make run` shows the main job, `make test` proves it.

CARGO ?= cargo
# Generated cases are the same in every run, so that a red run is the change's doing. `SEED=$RANDOM PROPTEST_CASES=20000 make it` looks
# further.
SEED ?= 2

.PHONY: run test fmt lint unit generate generated deploy monitoring it e2e bench deny fuzz clean

run: ## Start the server on the example cluster, send pods through it, and keep serving
	$(CARGO) build --quiet --bin apportion --example demo
	@target/debug/examples/demo

test: fmt lint generated deploy unit it monitoring ## Everything that CI runs; for a real control plane see e2e

fmt: ## Formatting
	$(CARGO) fmt --all -- --check

lint: ## Clippy and documentation, warnings denied
	$(CARGO) clippy --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --locked --quiet

generate: .venv/ready ## Write generated files again: example cluster, command line reference, man pages, completion scripts, manifests
	python3 examples/cluster/generate.py
	python3 deploy/monitoring/dashboard.py
	$(CARGO) run --quiet --locked --example reference
	.venv/bin/python deploy/render.py

generated: ## Generated files are what their sources make (deploy looks at the manifests)
	python3 examples/cluster/generate.py --check
	python3 deploy/monitoring/dashboard.py --check
	$(CARGO) run --quiet --locked --example packing -- --check
	$(CARGO) run --quiet --locked --example reference -- --check

# Helm's own renderer as a Python package: no helm binary is needed.
.venv/ready: tests/deploy/requirements.txt
	python3 -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check -r tests/deploy/requirements.txt
	touch $@

deploy: .venv/ready ## Chart, manifests and CRD, as far as no control plane is needed
	.venv/bin/python deploy/render.py --check
	KUBEBUILDER_ASSETS=/nonexistent .venv/bin/python -m unittest discover -s tests/deploy

unit: ## Unit tests, documentation tests and the demo's
	$(CARGO) test --locked --doc
	$(CARGO) test --locked --lib --bins --examples

monitoring: .venv/ready ## Rules by promtool, metric names, and the audit against a real Prometheus
	.ci/prometheus
	$(CARGO) build --locked --bins
	.venv/bin/python -m unittest discover -s tests/monitoring
	.venv/bin/python -m unittest discover -s tests/audit

it: ## Integration tests: real sockets, real TLS, recorded requests, the real binary
	$(CARGO) build --locked --bins --examples
	target/debug/apportion test policies/tests
	PROPTEST_RNG_SEED=$(SEED) $(CARGO) test --locked --test it
	$(CARGO) test --locked --bench scale

e2e: .venv/ready ## End to end on a real control plane; says SKIPPED where its binaries are missing
	.venv/bin/python -m unittest discover -s tests/deploy
	$(CARGO) test --locked --test e2e -- --nocapture --test-threads=1

bench: ## What it costs beside a floor server, up to 15,000 nodes; some minutes. ONLY=filter,memory for a part. See docs/performance.md
	$(CARGO) bench --locked --bench scale -- $(if $(ONLY),--only $(ONLY))

deny: ## Licences, duplicate and banned crates (needs cargo-deny)
	$(CARGO) deny check bans licenses sources

fuzz: ## A minute of each fuzz target (needs cargo-fuzz and a nightly toolchain)
	for target in $$(cd fuzz && $(CARGO) +nightly fuzz list); do \
		(cd fuzz && $(CARGO) +nightly fuzz run $$target -- -max_total_time=60) || exit 1; done

clean:
	$(CARGO) clean
