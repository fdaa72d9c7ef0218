# tools/mpy-tool.py (up to 1.29) puts frozen native code at multiples of 2. Where the core loads
# constants relative to a rounded-down PC (armv6m), or wants the first word of a function at a
# multiple of 4, that gives wrong numbers or a fault; nm on the image shows whether it took.
ifneq ($(UNMENDED),1)
$(BUILD)/frozen_content.o: CFLAGS += -D'aligned(x)=__aligned__(4)'
endif
