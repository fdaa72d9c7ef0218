// An emulated Pico: rp2040js with a flash that can be written, resets that keep it, power cuts in
// the middle of a write, a quiet USB host, and unaligned access as an error.
// MIT license; Copyright (c) 2026 the microlwm2m authors
import { Simulator, USBCDC } from './library.mjs';

const FLASH = 0x10000000;
const SRAM = 0x20000000;
const WATCHDOG = 0x40058;
const ROSC = 0x40060;
const RANDOMBIT = 0x1c;
const SCRATCH = 8;
const CYCLE_NS = 8; // 125 MHz
const ERASE_NS = 45e6; // a sector of 4 KB
const PROGRAM_NS = 0.4e6; // a page of 256 bytes

// Address of a function of the boot ROM by its two letters.
function romFunction(view, name) {
  const code = name.charCodeAt(0) | (name.charCodeAt(1) << 8);
  for (let at = view.getUint16(0x14, true); view.getUint16(at, true); at += 4) {
    if (view.getUint16(at, true) === code) return view.getUint16(at + 2, true) & ~1;
  }
  throw new Error('the boot ROM has no function ' + name);
}

export class Pico {
  // uf2, rom: Buffers; size: bytes of flash.
  // paced: an idle core waits for the wall clock, so that peers on the network keep up; without,
  // time jumps to the next alarm.
  constructor({ uf2, rom, size = 2 << 20, paced = true }) {
    this.size = size;
    this.paced = paced;
    this.rom = new Uint8Array(rom);
    this.flash = new Uint8Array(size).fill(0xff);
    this.erases = 0;
    this.programs = 0;
    this.resets = 0;
    this.ops = 0; // flash operations since power came or cutAfter() was called
    this.cutAt = 0; // power goes in the middle of this one
    this.onSerial = () => {};
    this.onCut = () => {};
    this.onFault = () => {};
    this.onBoot = () => {};
    // rp2040js has no flash controller: the boot ROM's erase and program become breakpoints.
    const view = new DataView(this.rom.buffer);
    for (const [name, mark] of [['RE', 0x81], ['RP', 0x82]]) {
      const at = romFunction(view, name);
      view.setUint16(at, 0xbe00 | mark, true); // bkpt
      view.setUint16(at + 2, 0x4770, true); // bx lr
    }
    if (uf2) this.load(uf2);
  }

  load(uf2) {
    for (let block = 0; block + 512 <= uf2.length; block += 512) {
      const at = uf2.readUInt32LE(block + 12) - FLASH;
      this.flash.set(uf2.subarray(block + 32, block + 32 + uf2.readUInt32LE(block + 16)), at);
    }
  }

  boot() {
    const sim = (this.sim = new Simulator());
    const mcu = (this.mcu = sim.rp2040);
    mcu.loadBootrom(new Uint32Array(this.rom.buffer));
    mcu.flash.set(this.flash);
    const quiet = () => {};
    mcu.logger = { debug: quiet, info: quiet, warn: quiet, error: quiet };
    this.#mendMemory(mcu);
    mcu.onBreak = (code) => {
      if (code === 0x81) this.#erase(mcu);
      else if (code === 0x82) this.#program(mcu);
      else this.onFault(`breakpoint ${code} at ${mcu.core.PC.toString(16)}`);
    };
    // os.urandom draws from the ring oscillator, which rp2040js does not have: always 1.
    const rosc = mcu.peripherals[ROSC];
    const read = rosc.readUint32.bind(rosc);
    rosc.readUint32 = (offset) => (offset === RANDOMBIT ? +(Math.random() < 0.5) : read(offset));
    const watchdog = mcu.peripherals[WATCHDOG];
    if (this.scratch) {
      watchdog.scratchData.set(this.scratch);
      watchdog.reason = this.reason;
    }
    watchdog.onWatchdogTrigger = () => {
      this.scratch = watchdog.scratchData.slice(0, SCRATCH);
      this.reason = watchdog.reason;
      sim.stop();
      setTimeout(() => this.#reset(sim), 0);
    };
    this.#connect(mcu);
    this.onBoot(mcu, sim.clock);
    mcu.core.PC = FLASH;
    this.epoch = performance.now();
    sim.stopped = false;
    this.#run(sim);
  }

  stop() {
    this.sim.stop();
    this.flash.set(this.mcu.flash.subarray(0, this.size));
  }

  // Power off and on: what the chip keeps over a reset is gone. cutAfter as below.
  power(cutAfter = 0) {
    this.scratch = null;
    if (!this.sim.stopped) this.stop();
    this.cutAfter(cutAfter);
    this.boot();
  }

  // Power goes in the middle of the n-th flash operation from now; 0: it stays.
  cutAfter(n) {
    this.ops = 0;
    this.cutAt = n;
  }

  get ms() {
    return this.sim.clock.nanos / 1e6;
  }

  #reset(sim) {
    if (sim !== this.sim) return;
    this.stop();
    this.resets++;
    this.boot();
  }

  // Words and halfwords of flash and SRAM, which is nearly all that a core asks for, without
  // rp2040js' search for what lies at an address. Where an access is not aligned, the chip faults;
  // rp2040js does not.
  #mendMemory(mcu) {
    const { core, flash, sram } = mcu;
    for (const [bits, View] of [[16, Uint16Array], [32, Uint32Array]]) {
      const shift = bits === 32 ? 2 : 1;
      const mask = (1 << shift) - 1;
      const inFlash = new View(flash.buffer);
      const inSram = new View(sram.buffer);
      const complain = (what, address) => {
        if (address >>> 28 > 2) return;
        this.onFault(`unaligned ${what} of ${(address >>> 0).toString(16)} at ${core.PC.toString(16)}`);
      };
      const read = mcu[`readUint${bits}`].bind(mcu);
      mcu[`readUint${bits}`] = (address) => {
        if (address & mask) complain(`readUint${bits}`, address);
        else if (address >>> 24 === FLASH >>> 24) return inFlash[(address & 0xffffff) >>> shift];
        else if (address >>> 0 >= SRAM && address >>> 0 < SRAM + sram.length) return inSram[(address - SRAM) >>> shift];
        return read(address);
      };
      const write = mcu[`writeUint${bits}`].bind(mcu);
      mcu[`writeUint${bits}`] = (address, value) => {
        if (address & mask) complain(`writeUint${bits}`, address);
        else if (address >>> 0 >= SRAM && address >>> 0 < SRAM + sram.length) {
          inSram[(address - SRAM) >>> shift] = value;
          return;
        }
        write(address, value);
      };
    }
  }

  #connect(mcu) {
    const usb = mcu.usbCtrl;
    const cdc = (this.cdc = new USBCDC(usb));
    cdc.onDeviceConnected = () => (this.connected = true);
    cdc.onSerialData = (data) => this.onSerial(Buffer.from(data));
    this.connected = false;
    // USBCDC answers every poll, with nothing when it has nothing: an interrupt each 10 us, a fifth
    // of the core's time, and it never sleeps. A real host keeps silent.
    let room = 0;
    const give = () => {
      const n = Math.min(room, cdc.txFIFO.itemCount);
      if (!n) return;
      room = 0;
      const data = new Uint8Array(n);
      for (let i = 0; i < n; i++) data[i] = cdc.txFIFO.pull();
      usb.endpointReadDone(cdc.outEndpoint, data);
    };
    usb.onEndpointRead = (endpoint, size) => {
      if (endpoint !== cdc.outEndpoint) return;
      room = size;
      give();
    };
    // One byte for the console; false when there is no room now.
    this.put = (byte) => {
      if (!this.connected || cdc.txFIFO.full) return false;
      cdc.sendSerialByte(byte);
      give();
      return true;
    };
  }

  #run(sim) {
    const { clock, rp2040: { core } } = sim;
    for (let i = 0; i < 200000 && !sim.stopped; i++) {
      if (!core.waiting) {
        clock.tick(core.executeInstruction() * CYCLE_NS);
        continue;
      }
      const idle = clock.nanosToNextAlarm;
      if (this.paced) {
        const now = performance.now() - this.epoch;
        if ((clock.nanos + idle) / 1e6 - now > 1) {
          clock.tick(Math.min(idle, Math.max(0, now * 1e6 - clock.nanos)));
          const ahead = (clock.nanos + clock.nanosToNextAlarm) / 1e6 - now;
          setTimeout(() => this.#run(sim), Math.max(0, Math.min(ahead, 2)));
          return;
        }
      }
      clock.tick(idle);
      i += 100;
    }
    if (!sim.stopped) setImmediate(() => this.#run(sim));
  }

  // Does power go now? Then half of the operation is done.
  #cuts() {
    return ++this.ops === this.cutAt;
  }

  #powerGone() {
    this.stop();
    setTimeout(() => this.onCut(this.ops), 0);
  }

  #erase(mcu) {
    const [at, n] = mcu.core.registers;
    this.erases++;
    if (this.#cuts()) {
      mcu.flash.fill(0xff, at, at + (n >> 1));
      return this.#powerGone();
    }
    mcu.flash.fill(0xff, at, at + n);
    this.sim.clock.tick((ERASE_NS * n) / 4096);
  }

  #program(mcu) {
    const [at, from, n] = mcu.core.registers;
    this.programs++;
    const cut = this.#cuts();
    const source = from >= SRAM ? mcu.sram.subarray(from - SRAM) : mcu.flash.subarray(from - FLASH);
    for (let i = 0; i < (cut ? n >> 1 : n); i++) mcu.flash[at + i] &= source[i]; // bits only go to 0
    if (cut) return this.#powerGone();
    this.sim.clock.tick((PROGRAM_NS * n) / 256);
  }
}
