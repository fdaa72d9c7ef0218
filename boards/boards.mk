# Emulated boards, built from Debian's source packages into build/boards and tested there.
.PHONY: boards test-boards
boards: $(STAMP)
	@$(BIN)/python boards/images.py $(BOARDS)

test-boards: boards $(TESTING)
	$(PYTEST) tests/boards $(ARGS)
