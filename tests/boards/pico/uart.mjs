// Makes rp2040js's UART the PL011 that MicroPython drives: its transmit interrupt never clears, it
// has no receive timeout, without which PPP is never polled, and no interrupt levels.
// MIT license; Copyright (c) 2026 the microlwm2m authors
const DR = 0x00;
const IFLS = 0x34;
const TX = 1 << 5;
const RX = 1 << 4;
const TIMEOUT = 1 << 6;
const LEVELS = [4, 8, 16, 24, 28];
const BYTE_NS = 10000; // 1 Mbaud

export function mendUart(uart, clock) {
  let level = 16;
  const timeout = clock.createAlarm(() => {
    if (uart.rxFIFO.empty) return;
    uart.interruptStatus |= TIMEOUT;
    uart.checkInterrupts();
  });
  const restart = () => timeout.schedule(4 * BYTE_NS);
  const read = uart.readUint32.bind(uart);
  const write = uart.writeUint32.bind(uart);

  uart.checkInterrupts = () => {
    uart.rp2040.setInterrupt(uart.irq, !!(uart.interruptStatus & uart.interruptMask));
  };
  uart.feedByte = (byte) => {
    uart.rxFIFO.push(byte);
    if (uart.rxFIFO.itemCount >= level) uart.interruptStatus |= RX;
    restart();
    uart.checkInterrupts();
  };
  uart.readUint32 = (offset) => {
    if (offset === IFLS) return LEVELS.indexOf(level) << 3;
    if (offset !== DR) return read(offset);
    const byte = uart.rxFIFO.empty ? 0 : uart.rxFIFO.pull();
    if (uart.rxFIFO.itemCount < level) uart.interruptStatus &= ~RX;
    if (uart.rxFIFO.empty) uart.interruptStatus &= ~TIMEOUT;
    else restart();
    uart.checkInterrupts();
    return byte;
  };
  uart.writeUint32 = (offset, value) => {
    if (offset === IFLS) {
      level = LEVELS[(value >> 3) & 7] ?? 16;
      return;
    }
    write(offset, value);
    if (offset === DR) {
      uart.interruptStatus |= TX;
      uart.checkInterrupts();
    }
  };
}

// Sends what the far end says, a byte each 10 us of simulated time.
export function feeder(uart, clock) {
  const queue = [];
  let busy = false;
  const alarm = clock.createAlarm(() => {
    if (!queue.length) {
      busy = false;
      return;
    }
    uart.feedByte(queue.shift());
    alarm.schedule(BYTE_NS);
  });
  return (bytes) => {
    for (const byte of bytes) queue.push(byte);
    if (busy) return;
    busy = true;
    alarm.schedule(BYTE_NS);
  };
}
