# The whole of the fuzzing, of which `make test` runs a share. INPUTS: how many.
.PHONY: fuzz
fuzz: $(TESTING)
	FUZZ_INPUTS=$(or $(INPUTS),1000000) FUZZ_CORPUS=$(CURDIR)/build/fuzz \
	  $(PYTEST) tests/fuzz/test_fuzz.py -s --timeout=7200 $(ARGS)
