# Two commands matter: `make demo` and `make test`. Both set up what they need.
.DEFAULT_GOAL := help
.PHONY: help setup demo test coverage test-deep mutants check format lock bench bench-requests bench-log bench-timing clean

export UV_PYTHON_DOWNLOADS := never
UV := .tools/bin/uv
SETUP := .venv/.complete

help:        ## what can be done
	@grep -hE '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:.*## */\t/' | expand -t 12

setup: $(SETUP) ## put everything the project needs into .venv

$(UV): requirements/uv.txt
	python3 -m pip install --quiet --disable-pip-version-check --require-hashes --upgrade --target .tools -r requirements/uv.txt
	@touch $@

$(SETUP): $(UV) requirements/dev.txt pyproject.toml
	$(UV) venv --quiet --allow-existing .venv
	$(UV) pip sync --quiet --require-hashes --python .venv requirements/dev.txt
	$(UV) pip install --quiet --python .venv --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup  ## build the invented database, show what each day's rules would show, then serve
	.venv/bin/gateway demo

test: check  ## the house rules and the whole suite, on SQLite and PostgreSQL
	.venv/bin/pytest -n auto --dist worksteal

coverage: setup ## the suite again, and which lines it does not reach; slower
	.venv/bin/pytest --cov --cov-report=term:skip-covered

test-deep: setup ## the property tests with ten times the examples
	HYPOTHESIS_PROFILE=deep .venv/bin/pytest -n auto --dist worksteal -m property

mutants: setup ## change policy/ and plan/ a little everywhere, and list what no test notices; takes hours
	.venv/bin/python -m tests.mutation

check: setup ## format, lint, types, contracts
	.venv/bin/ruff format --check --quiet .
	.venv/bin/ruff check --quiet .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-cache --config pyproject.toml

format: setup ## put the code into its form
	.venv/bin/ruff format --quiet .
	.venv/bin/ruff check --quiet --fix .

bench: setup ## measure on a real PostgreSQL; writes docs/benchmarks.md
	.venv/bin/python -m tests.bench

bench-requests: setup ## measure requests alone, over one and ten million arrests, beside PostGraphile
	.venv/bin/python -m tests.bench.requests

bench-log: setup ## measure the log alone, in minutes
	.venv/bin/python -m tests.bench.log

bench-timing: setup ## measure what time tells of hidden records; writes docs/timing.md, in an hour at most
	.venv/bin/python -m tests.bench.timing

lock: $(UV)  ## resolve the dependencies anew
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --custom-compile-command "make lock" pyproject.toml -o requirements/runtime.txt
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --custom-compile-command "make lock" --group dev -c requirements/runtime.txt pyproject.toml -o requirements/dev.txt
	echo uv==0.13.9 | $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --custom-compile-command "make lock" - -o requirements/uv.txt

clean:       ## forget the environment and the demo
	rm -rf .venv .tools demo
