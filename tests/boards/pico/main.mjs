// An emulated Pico as a process: the console on a TCP port of the loopback, orders on stdin and
// events on stdout, both a line of JSON each.
// MIT license; Copyright (c) 2026 the microlwm2m authors
//
//   node main.mjs --uf2 FILE --rom FILE [--flash FILE] [--jump]
//
// --flash: read at the start if it is there (the image is laid over it), written at each cut and
// at the end. --jump: idle time passes at once; by default it takes as long as it says.
// orders: {"do": "cut", "after": n}, {"do": "power", "after": n}, {"do": "stats"}, {"do": "quit"}
// events: {"event": "listening" | "cut" | "fault" | "reset" | "stats", ...}
import fs from 'node:fs';
import net from 'node:net';
import readline from 'node:readline';
import { parseArgs } from 'node:util';
import { Pico } from './pico.mjs';
import { Ppp } from './ppp.mjs';
import { feeder, mendUart } from './uart.mjs';

const { values: args } = parseArgs({
  options: {
    uf2: { type: 'string' },
    rom: { type: 'string' },
    flash: { type: 'string' },
    jump: { type: 'boolean', default: false },
  },
});
// rp2040js prints when the firmware looks at a register that it does not have (spin locks' state).
for (const way of ['warn', 'error']) {
  const print = console[way];
  console[way] = (...text) => /invalid SIO/.test(text[0]) || print(...text);
}
const say = (event, more = {}) => process.stdout.write(JSON.stringify({ event, ...more }) + '\n');

const pico = new Pico({ rom: fs.readFileSync(args.rom), paced: !args.jump });
if (args.flash && fs.existsSync(args.flash)) pico.flash.set(fs.readFileSync(args.flash));
pico.load(fs.readFileSync(args.uf2));

const save = () => args.flash && fs.writeFileSync(args.flash, pico.flash);

let ppp = null;
pico.onBoot = (mcu, clock) => {
  ppp?.close();
  const uart = mcu.uart[0];
  mendUart(uart, clock);
  ppp = new Ppp(feeder(uart, clock));
  uart.onByte = (byte) => ppp.feed(byte);
  if (pico.resets) say('reset', { count: pico.resets });
};
let faults = 0;
pico.onFault = (text) => {
  if (faults++ < 20) say('fault', { text });
};
pico.onCut = (op) => {
  save();
  client?.end(); // the console goes with the power
  client = null;
  kept = [];
  say('cut', { op });
};

// The console: what comes while nobody is connected is kept, the last 64 KB of it.
let client = null;
let kept = [];
pico.onSerial = (data) => {
  if (client) client.write(data);
  else kept.push(data);
  if (kept.length > 1024) kept = kept.slice(-1024);
};
const input = [];
const type = () => {
  let n = 0;
  while (n < input.length && pico.put(input[n])) n++;
  if (n) input.splice(0, n);
};
setInterval(type, 1);
const server = net.createServer((socket) => {
  client?.destroy();
  client = socket;
  socket.setNoDelay(true);
  for (const data of kept) socket.write(data);
  kept = [];
  socket.on('data', (data) => {
    for (const byte of data) input.push(byte);
    type();
  });
  socket.on('close', () => {
    if (client === socket) client = null;
  });
  socket.on('error', () => {});
});
server.listen(0, '127.0.0.1', () => say('listening', { port: server.address().port }));

const orders = {
  cut: (order) => pico.cutAfter(order.after),
  power: (order) => {
    input.length = 0;
    pico.power(order.after);
  },
  stats: () => say('stats', {
    sim_ms: Math.round(pico.ms),
    erases: pico.erases,
    programs: pico.programs,
    resets: pico.resets,
    ops: pico.ops,
    sent: ppp.sent,
    received: ppp.received,
    cpu_s: process.cpuUsage().user / 1e6,
  }),
  quit: () => {
    pico.stop();
    save();
    process.exit(0);
  },
};
const lines = readline.createInterface({ input: process.stdin });
lines.on('line', (line) => {
  const order = JSON.parse(line);
  orders[order.do](order);
});
lines.on('close', () => orders.quit()); // whoever started this is gone

pico.boot();
