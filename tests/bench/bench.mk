# What the code takes: instructions, heap, time, flash.
.PHONY: bench size
# CHECK=1: only compare instruction counts with those recorded; over 2 % more fails.
bench: $(TESTING)
	@PYTHONPATH=tools $(BIN)/python tests/bench/bench.py $(if $(CHECK),--check)

# UPDATE=1: record what is measured in tests/bench/size.json.
size: $(TESTING)
	@$(BIN)/python tests/bench/size.py $(if $(UPDATE),--update)
