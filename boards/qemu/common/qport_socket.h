// MIT license; Copyright (c) 2026 the microlwm2m authors

void qport_socket_init(void);
