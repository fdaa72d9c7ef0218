// os.urandom of an emulated board: a generator seeded by whoever starts the emulator, so that
// a run repeats to the instruction. Never for anything that has to stay secret.
// MIT license; Copyright (c) 2026 the microlwm2m authors

uint32_t qport_random(void);

static mp_obj_t mp_os_urandom(mp_obj_t num) {
    vstr_t vstr;
    vstr_init_len(&vstr, mp_obj_get_int(num));
    for (size_t i = 0; i < vstr.len; i++) {
        vstr.buf[i] = qport_random() >> 24;
    }
    return mp_obj_new_bytes_from_vstr(&vstr);
}
static MP_DEFINE_CONST_FUN_OBJ_1(mp_os_urandom_obj, mp_os_urandom);
