# What a contributor runs. `make check` takes a minute and `make fast` little more; README says what `make test` needs.
bin ?= .venv/bin
fast = not kernel and not model and not shipped and not worker and not vllm and not train and not browser and not network and not slow

torch := training release pipeline ablations

.PHONY: check fast test nightly site

check:  ## style, types, which module may import which, and dead code
	$(bin)/ruff check .
	$(bin)/ruff format --check .
	$(bin)/mypy
	$(bin)/lint-imports
	$(bin)/vulture

fast:  ## the tests that need nothing but Python; importing torch alone takes a process ten seconds
	$(bin)/pytest -n 3 -m '$(fast)' $(addprefix --ignore=tests/finetune/,$(torch))

test:  ## what a submission must pass
	$(bin)/pytest -n 3

nightly:  ## everything, the slow tests too
	$(bin)/pytest -n 3 -m ''

pages = README.md CHANGELOG.md CITATION.cff CONTRIBUTING.md LICENSE SECURITY.md 'docs/*.md' 'docs/pictures/*' mumath_agent/weights/embedded/README.md
linked = 'examples/*.py' 'finetune/*.py' 'mumath_agent/*.py'

site:  ## the pages, and the reference of all modules, as a web site in site/
	rm -rf build/pages site
	mkdir -p build/pages
	git ls-files --cached --others --exclude-standard $(pages) $(linked) | xargs cp --parents -t build/pages
	$(bin)/zensical build --strict
	$(bin)/python docs/reference.py site/reference
