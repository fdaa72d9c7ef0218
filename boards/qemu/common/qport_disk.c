// The disk of an emulated board: a block device over memory outside the heap, which is in a file on
// the host where the emulator was started so.
// MIT license; Copyright (c) 2026 the microlwm2m authors
//
// As rp2.Flash and esp32.Partition are on real boards it is C and takes nothing of the heap.

#include <string.h>

#include "extmod/vfs.h"
#include "py/mperrno.h"
#include "py/runtime.h"
#include "qport_disk.h"

#define BLOCK 4096
#define BLOCKS (QPORT_DISK_LEN / BLOCK)

// Where args (self, block, buffer, offset within the block = 0) point to; OSError when that is not
// all on the disk.
static void *place(size_t n_args, const mp_obj_t *args, mp_buffer_info_t *buf, mp_uint_t flags) {
    mp_int_t block = mp_obj_get_int(args[1]);
    mp_int_t offset = n_args > 3 ? mp_obj_get_int(args[3]) : 0;
    mp_get_buffer_raise(args[2], buf, flags);
    if (block < 0 || block >= BLOCKS || offset < 0 || offset > QPORT_DISK_LEN - block * BLOCK
        || buf->len > (size_t)(QPORT_DISK_LEN - block * BLOCK - offset)) {
        mp_raise_OSError(MP_EINVAL);
    }
    return (char *)QPORT_DISK + block * BLOCK + offset;
}

// Both may move less than a block, and more than one.
static mp_obj_t disk_readblocks(size_t n_args, const mp_obj_t *args) {
    mp_buffer_info_t buf;
    void *from = place(n_args, args, &buf, MP_BUFFER_WRITE);
    memmove(buf.buf, from, buf.len);
    return MP_OBJ_NEW_SMALL_INT(0);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(disk_readblocks_obj, 3, 4, disk_readblocks);

static mp_obj_t disk_writeblocks(size_t n_args, const mp_obj_t *args) {
    mp_buffer_info_t buf;
    void *to = place(n_args, args, &buf, MP_BUFFER_READ);
    memmove(to, buf.buf, buf.len);
    return MP_OBJ_NEW_SMALL_INT(0);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(disk_writeblocks_obj, 3, 4, disk_writeblocks);

static mp_obj_t disk_ioctl(mp_obj_t self, mp_obj_t op, mp_obj_t arg) {
    switch (mp_obj_get_int(op)) {
        case MP_BLOCKDEV_IOCTL_INIT:
        case MP_BLOCKDEV_IOCTL_DEINIT:
        case MP_BLOCKDEV_IOCTL_SYNC:
        case MP_BLOCKDEV_IOCTL_BLOCK_ERASE: // memory is written over
            return MP_OBJ_NEW_SMALL_INT(0);
        case MP_BLOCKDEV_IOCTL_BLOCK_COUNT:
            return MP_OBJ_NEW_SMALL_INT(BLOCKS);
        case MP_BLOCKDEV_IOCTL_BLOCK_SIZE:
            return MP_OBJ_NEW_SMALL_INT(BLOCK);
        default:
            return mp_const_none;
    }
}
static MP_DEFINE_CONST_FUN_OBJ_3(disk_ioctl_obj, disk_ioctl);

static const mp_rom_map_elem_t disk_table[] = {
    { MP_ROM_QSTR(MP_QSTR_ioctl), MP_ROM_PTR(&disk_ioctl_obj) },
    { MP_ROM_QSTR(MP_QSTR_readblocks), MP_ROM_PTR(&disk_readblocks_obj) },
    { MP_ROM_QSTR(MP_QSTR_writeblocks), MP_ROM_PTR(&disk_writeblocks_obj) },
};
static MP_DEFINE_CONST_DICT(disk_dict, disk_table);

static MP_DEFINE_CONST_OBJ_TYPE(
    disk_type, MP_QSTR_Disk, MP_TYPE_FLAG_NONE,
    locals_dict, &disk_dict
    );

const mp_obj_base_t qport_disk_obj = { &disk_type };
