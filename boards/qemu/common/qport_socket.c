// UDP on an emulated board: among its own sockets as 127.0.0.1, and on the M3 over the second
// serial line, at whose other end a program on the host passes datagrams on.
// MIT license; Copyright (c) 2026 the microlwm2m authors
//
// As with lwIP on a real board nothing of it but the socket objects is on the heap, and code is C.
// The line carries SLIP frames (RFC 1055): 4 bytes of the peer's address, 2 of its port, 2 of the
// port here, the datagram.

#include <string.h>

#include "py/mperrno.h"
#include "py/mphal.h"
#include "py/runtime.h"
#include "py/stream.h"
#include "qport_socket.h"

#define INET 2
#define INET6 10
#define DGRAM 2
#define NONAME (-2) // EAI_NONAME

#define MTU 1500
#define HEAD 8
#define SOCKETS 8
#define QUEUED 4 // datagrams a socket keeps, as lwIP does; the next is lost
#define FIRST_PORT 49152

typedef struct {
    mp_obj_base_t base;
    uint16_t port; // 0: not bound
    bool blocking;
    bool closed;
} socket_t;

typedef struct {
    uint32_t order; // of arrival; 0: free
    uint16_t to;
    uint16_t from;
    uint16_t length;
    uint8_t ip[4];
    uint8_t data[MTU];
} datagram_t;

static uint16_t bound[SOCKETS];
static uint16_t next_port;
static uint32_t arrived;
static datagram_t kept[SOCKETS * QUEUED];

static const uint8_t loopback[4] = { 127, 0, 0, 1 };
static const uint8_t broadcast[4] = { 255, 255, 255, 255 };

static bool is_bound(uint16_t port) {
    for (size_t i = 0; i < SOCKETS; i++) {
        if (bound[i] == port) {
            return true;
        }
    }
    return false;
}

// The oldest datagram for a port, or NULL.
static datagram_t *first(uint16_t port) {
    datagram_t *found = NULL;
    for (size_t i = 0; port && i < SOCKETS * QUEUED; i++) {
        datagram_t *d = &kept[i];
        if (d->order && d->to == port && (!found || d->order < found->order)) {
            found = d;
        }
    }
    return found;
}

static void deliver(uint16_t to, const uint8_t *ip, uint16_t from, const uint8_t *data, size_t length) {
    datagram_t *place = NULL;
    size_t n = 0;
    for (size_t i = 0; i < SOCKETS * QUEUED; i++) {
        if (!kept[i].order) {
            place = &kept[i];
        } else if (kept[i].to == to) {
            n++;
        }
    }
    if (!to || !is_bound(to) || !place || n >= QUEUED || length > MTU) {
        return;
    }
    place->order = ++arrived;
    place->to = to;
    place->from = from;
    place->length = length;
    memcpy(place->ip, ip, 4);
    memcpy(place->data, data, length);
}

/******************************************************************************/
// The line.

#if defined(QEMU_SOC_MPS2)

#define LINE 0x40005000 // UART 1
#define REG(a) (*(volatile uint32_t *)(a))
#define END 0xc0
#define ESC 0xdb
#define ESC_END 0xdc
#define ESC_ESC 0xdd

static uint8_t frame[HEAD + MTU];
static size_t frame_length;
static bool escaped;

static void line_init(void) {
    REG(LINE + 16) = 16; // baud
    REG(LINE + 8) = 3; // transmit and receive
    frame_length = 0;
    escaped = false;
}

// Take in what has come.
static void pump(void) {
    while (REG(LINE + 4) & 2) {
        uint8_t byte = REG(LINE);
        if (byte == END) {
            if (frame_length >= HEAD) {
                deliver(frame[6] << 8 | frame[7], frame, frame[4] << 8 | frame[5],
                    frame + HEAD, frame_length - HEAD);
            }
            frame_length = 0;
        } else if (byte == ESC) {
            escaped = true;
        } else if (frame_length < sizeof(frame)) {
            if (escaped) {
                byte = byte == ESC_END ? END : ESC;
                escaped = false;
            }
            frame[frame_length++] = byte;
        }
    }
}

static void put(uint8_t byte) {
    while (REG(LINE + 4) & 1) {
    }
    REG(LINE) = byte;
}

static void put_escaped(const uint8_t *data, size_t length) {
    for (size_t i = 0; i < length; i++) {
        if (data[i] == END || data[i] == ESC) {
            put(ESC);
            put(data[i] == END ? ESC_END : ESC_ESC);
        } else {
            put(data[i]);
        }
    }
}

static int line_send(const uint8_t *ip, uint16_t to, uint16_t from, const uint8_t *data, size_t length) {
    uint8_t ports[4] = { to >> 8, to, from >> 8, from };
    put_escaped(ip, 4);
    put_escaped(ports, 4);
    put_escaped(data, length);
    put(END);
    return 0;
}

#else

static void line_init(void) {
}

static void pump(void) {
}

static int line_send(const uint8_t *ip, uint16_t to, uint16_t from, const uint8_t *data, size_t length) {
    return 101; // ENETUNREACH, for which there is no name
}

#endif

// No socket outlives a reset.
void qport_socket_init(void) {
    memset(bound, 0, sizeof(bound));
    memset(kept, 0, sizeof(kept));
    next_port = FIRST_PORT;
    arrived = 0;
    line_init();
}

/******************************************************************************/
// Addresses.

// "10.64.0.1" into 4 bytes; false if it is no address in digits: there is nobody to ask for names.
static bool parse(mp_obj_t host, uint8_t *ip) {
    size_t length;
    const char *text = mp_obj_str_get_data(host, &length);
    const char *end = text + length;
    for (size_t i = 0; i < 4; i++) {
        unsigned value = 0;
        const char *start = text;
        while (text < end && *text >= '0' && *text <= '9' && value < 256) {
            value = value * 10 + *text++ - '0';
        }
        if (text == start || value > 255 || (i < 3 && (text == end || *text++ != '.'))) {
            return false;
        }
        ip[i] = value;
    }
    return text == end;
}

static mp_obj_t address(const uint8_t *ip, uint16_t port) {
    vstr_t text;
    vstr_init(&text, 16);
    vstr_printf(&text, "%d.%d.%d.%d", ip[0], ip[1], ip[2], ip[3]);
    mp_obj_t items[2] = { mp_obj_new_str_from_vstr(&text), MP_OBJ_NEW_SMALL_INT(port) };
    return mp_obj_new_tuple(2, items);
}

static uint16_t split(mp_obj_t peer, uint8_t *ip) {
    mp_obj_t *items;
    mp_obj_get_array_fixed_n(peer, 2, &items);
    if (!parse(items[0], ip)) {
        mp_raise_OSError(NONAME);
    }
    return mp_obj_get_int(items[1]);
}

// getaddrinfo(host, port, family=0, type=0, proto=0, flags=0)
static mp_obj_t socket_getaddrinfo(size_t n_args, const mp_obj_t *args) {
    uint8_t ip[4];
    if ((n_args > 2 && mp_obj_get_int(args[2]) == INET6) || !parse(args[0], ip)) {
        mp_raise_OSError(NONAME);
    }
    mp_obj_t items[5] = {
        MP_OBJ_NEW_SMALL_INT(INET), MP_OBJ_NEW_SMALL_INT(DGRAM), MP_OBJ_NEW_SMALL_INT(0),
        MP_OBJ_NEW_QSTR(MP_QSTR_), address(ip, mp_obj_get_int(args[1])),
    };
    mp_obj_t found = mp_obj_new_tuple(5, items);
    return mp_obj_new_list(1, &found);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(socket_getaddrinfo_obj, 2, 6, socket_getaddrinfo);

/******************************************************************************/
// class socket

static const mp_obj_type_t socket_type;

static socket_t *open_socket(mp_obj_t self_in) {
    socket_t *self = MP_OBJ_TO_PTR(self_in);
    if (self->closed) {
        mp_raise_OSError(MP_EBADF);
    }
    return self;
}

// socket(family=AF_INET, type=SOCK_DGRAM, proto=0)
static mp_obj_t socket_make_new(const mp_obj_type_t *type, size_t n_args, size_t n_kw, const mp_obj_t *args) {
    mp_arg_check_num(n_args, n_kw, 0, 3, false);
    if ((n_args > 0 && mp_obj_get_int(args[0]) != INET) || (n_args > 1 && mp_obj_get_int(args[1]) != DGRAM)) {
        mp_raise_OSError(MP_EAFNOSUPPORT);
    }
    // A socket that nobody closes gives back its port when it is collected.
    socket_t *self = mp_obj_malloc_with_finaliser(socket_t, type);
    self->port = 0;
    self->blocking = true;
    self->closed = false;
    return MP_OBJ_FROM_PTR(self);
}

static mp_obj_t socket_close(mp_obj_t self_in) {
    socket_t *self = MP_OBJ_TO_PTR(self_in);
    for (size_t i = 0; self->port && i < SOCKETS; i++) {
        if (bound[i] == self->port) {
            bound[i] = 0;
        }
    }
    for (size_t i = 0; self->port && i < SOCKETS * QUEUED; i++) {
        if (kept[i].to == self->port) {
            kept[i].order = 0;
        }
    }
    self->port = 0;
    self->closed = true;
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(socket_close_obj, socket_close);

static void bind_to(socket_t *self, uint16_t port) {
    if (port && is_bound(port)) {
        mp_raise_OSError(MP_EADDRINUSE);
    }
    for (size_t i = 0; i < SOCKETS; i++) {
        if (!bound[i]) {
            while (!port) {
                port = is_bound(next_port) ? 0 : next_port;
                next_port = next_port == 0xffff ? FIRST_PORT : next_port + 1;
            }
            bound[i] = self->port = port;
            return;
        }
    }
    mp_raise_OSError(MP_ENOMEM);
}

static mp_obj_t socket_bind(mp_obj_t self_in, mp_obj_t local) {
    uint8_t ip[4];
    uint16_t port = split(local, ip);
    bind_to(open_socket(self_in), port);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_2(socket_bind_obj, socket_bind);

static mp_obj_t socket_sendto(mp_obj_t self_in, mp_obj_t data, mp_obj_t peer) {
    socket_t *self = open_socket(self_in);
    mp_buffer_info_t buf;
    mp_get_buffer_raise(data, &buf, MP_BUFFER_READ);
    uint8_t ip[4];
    uint16_t port = split(peer, ip);
    if (!self->port) {
        bind_to(self, 0);
    }
    int error = 0;
    if (buf.len > MTU) {
        error = MP_EINVAL; // there is no name for EMSGSIZE
    } else if (!memcmp(ip, broadcast, 4)) {
        error = MP_EACCES;
    } else if (memcmp(ip, loopback, 4)) {
        error = line_send(ip, port, self->port, buf.buf, buf.len);
    } else {
        deliver(port, ip, self->port, buf.buf, buf.len);
    }
    if (error) {
        mp_raise_OSError(error);
    }
    return MP_OBJ_NEW_SMALL_INT(buf.len);
}
static MP_DEFINE_CONST_FUN_OBJ_3(socket_sendto_obj, socket_sendto);

static mp_obj_t socket_recvfrom(mp_obj_t self_in, mp_obj_t most_in) {
    socket_t *self = open_socket(self_in);
    size_t most = mp_obj_get_int(most_in);
    datagram_t *d;
    while (pump(), !(d = first(self->port))) {
        if (!self->blocking) {
            mp_raise_OSError(MP_EAGAIN);
        }
        mp_event_handle_nowait();
    }
    mp_obj_t items[2] = {
        mp_obj_new_bytes(d->data, d->length < most ? d->length : most), address(d->ip, d->from),
    };
    d->order = 0;
    return mp_obj_new_tuple(2, items);
}
static MP_DEFINE_CONST_FUN_OBJ_2(socket_recvfrom_obj, socket_recvfrom);

static mp_obj_t socket_setblocking(mp_obj_t self_in, mp_obj_t flag) {
    open_socket(self_in)->blocking = mp_obj_is_true(flag);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_2(socket_setblocking_obj, socket_setblocking);

static mp_obj_t socket_settimeout(mp_obj_t self_in, mp_obj_t seconds) {
    open_socket(self_in)->blocking = seconds == mp_const_none;
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_2(socket_settimeout_obj, socket_settimeout);

static mp_obj_t socket_setsockopt(size_t n_args, const mp_obj_t *args) {
    open_socket(args[0]);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(socket_setsockopt_obj, 4, 4, socket_setsockopt);

static mp_uint_t socket_ioctl(mp_obj_t self_in, mp_uint_t request, uintptr_t arg, int *errcode) {
    socket_t *self = MP_OBJ_TO_PTR(self_in);
    if (request == MP_STREAM_CLOSE) {
        socket_close(self_in);
        return 0;
    }
    if (request != MP_STREAM_POLL) {
        *errcode = MP_EINVAL;
        return MP_STREAM_ERROR;
    }
    if (self->closed) {
        return MP_STREAM_POLL_NVAL;
    }
    pump();
    return arg & (first(self->port) ? MP_STREAM_POLL_RD | MP_STREAM_POLL_WR : MP_STREAM_POLL_WR);
}

static const mp_stream_p_t socket_stream = {
    .ioctl = socket_ioctl,
};

static const mp_rom_map_elem_t socket_table[] = {
    { MP_ROM_QSTR(MP_QSTR___del__), MP_ROM_PTR(&socket_close_obj) },
    { MP_ROM_QSTR(MP_QSTR_bind), MP_ROM_PTR(&socket_bind_obj) },
    { MP_ROM_QSTR(MP_QSTR_close), MP_ROM_PTR(&socket_close_obj) },
    { MP_ROM_QSTR(MP_QSTR_recvfrom), MP_ROM_PTR(&socket_recvfrom_obj) },
    { MP_ROM_QSTR(MP_QSTR_sendto), MP_ROM_PTR(&socket_sendto_obj) },
    { MP_ROM_QSTR(MP_QSTR_setblocking), MP_ROM_PTR(&socket_setblocking_obj) },
    { MP_ROM_QSTR(MP_QSTR_setsockopt), MP_ROM_PTR(&socket_setsockopt_obj) },
    { MP_ROM_QSTR(MP_QSTR_settimeout), MP_ROM_PTR(&socket_settimeout_obj) },
};
static MP_DEFINE_CONST_DICT(socket_dict, socket_table);

static MP_DEFINE_CONST_OBJ_TYPE(
    socket_type, MP_QSTR_socket, MP_TYPE_FLAG_NONE,
    make_new, socket_make_new,
    protocol, &socket_stream,
    locals_dict, &socket_dict
    );

static const mp_rom_map_elem_t module_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_socket) },
    { MP_ROM_QSTR(MP_QSTR_AF_INET), MP_ROM_INT(INET) },
    { MP_ROM_QSTR(MP_QSTR_AF_INET6), MP_ROM_INT(INET6) },
    { MP_ROM_QSTR(MP_QSTR_SOCK_DGRAM), MP_ROM_INT(DGRAM) },
    { MP_ROM_QSTR(MP_QSTR_getaddrinfo), MP_ROM_PTR(&socket_getaddrinfo_obj) },
    { MP_ROM_QSTR(MP_QSTR_socket), MP_ROM_PTR(&socket_type) },
};
static MP_DEFINE_CONST_DICT(module_dict, module_table);

const mp_obj_module_t qport_socket_module = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&module_dict,
};
MP_REGISTER_MODULE(MP_QSTR_socket, qport_socket_module);
