// MIT license; Copyright (c) 2026 the microlwm2m authors

// The block device qport.disk.
extern const mp_obj_base_t qport_disk_obj;
