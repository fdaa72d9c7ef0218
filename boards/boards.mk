# Emulated boards, built from Debian's source packages into build/boards and tested there.
.PHONY: boards test-boards
boards: $(STAMP)
	@$(BIN)/python boards/images.py $(BOARDS)

# ALL=1: every test on every board.
test-boards: boards $(TESTING)
	$(if $(ALL),MICROLWM2M_ALL=1) $(PYTEST) $(or $(T),tests/boards) $(ARGS)
