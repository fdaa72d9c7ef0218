// rp2040js from where `make boards` has put it (MICROLWM2M_NODE), else from beside this file.
// MIT license; Copyright (c) 2026 the microlwm2m authors
import { createRequire } from 'node:module';

const from = process.env.MICROLWM2M_NODE;
export const { Simulator, USBCDC } = createRequire(from ? from + '/' : import.meta.url)('rp2040js');
