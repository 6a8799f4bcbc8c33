# The commands of the README.  Set-up happens on its own: tools/setup installs what is missing.
#   make demo    build the shipped student, boot it in the emulator, score it     (no TensorFlow)
#   make test    everything that CI runs
#   make format  rewrite sources to the house style
VENV   ?= .venv
PYTHON ?= python3
BIN     = $(VENV)/bin
DEMO   ?= demo/nano33
C_SRC   = $(wildcard firmware/CMakeLists.txt firmware/native/* firmware/asc/*.[ch] \
            firmware/kernels/ref/asc_fft.c firmware/kernels/ref/asc_bank.c)

FOLDERS = $(shell find mcu_asc -type d -not -name __pycache__)

.PHONY: demo test format clean
demo: $(VENV)/.core
	$(BIN)/mcu-asc build --student scenes --board nano33 --out $(DEMO)
	$(BIN)/mcu-asc score $(DEMO) --on emulator --data scenes --folds 4 --limit 100
	$(BIN)/mcu-asc bench $(DEMO) --on emulator

test: $(VENV)/.dev
	VENV=$(VENV) tools/check

# A change of the C or of the packaging rebuilds the extension; a module more or less (a folder's time changes) is
# made known to the editable installation.
$(VENV)/.core: pyproject.toml tools/setup $(C_SRC) $(FOLDERS)
	PYTHON=$(PYTHON) tools/setup $(VENV) oracle
	touch $@
$(VENV)/.dev: pyproject.toml tools/setup $(C_SRC) $(FOLDERS)
	PYTHON=$(PYTHON) tools/setup $(VENV) train,onnx,dev
	touch $@ $(VENV)/.core

format: $(VENV)/.dev
	VENV=$(VENV) tools/check --fix
clean:
	rm -rf $(VENV) build demo
