// A carrier made of the npm package `smpp` (0.5.1), by which the tests see that others read what we write.
//
//   node smsc.js        then one JSON object a line on stdout, {"listening": port} first
//
// It joins long texts with its own decoder, gives receipts whose ids are decimal where its answers were
// hexadecimal, and sends every whole text back to its sender, cut again by itself.

'use strict';

const smpp = require('smpp');

const PASSWORD = 'secret';
const UNITS = 67; // of UCS-2 in a part with a header of six octets
let taken = 0x9f0000;

const tell = (what) => process.stdout.write(JSON.stringify(what) + '\n');

function receive(session, pieces, pdu) {
  const number = ++taken;
  session.send(pdu.response({ message_id: number.toString(16) }));
  sendReceipt(session, pdu, number);
  const header = (pdu.short_message.udh || []).find((element) => element[0] === 0);
  if (!header) {
    tell({ whole: pdu.short_message.message, from: pdu.source_addr, to: pdu.destination_addr });
    return;
  }
  const [reference, total, place] = header.subarray(2);
  const found = pieces[reference] || (pieces[reference] = {});
  found[place] = pdu.short_message.message;
  if (Object.keys(found).length === total) {
    const whole = Array.from({ length: total }, (_, index) => found[index + 1]).join('');
    tell({ whole, from: pdu.source_addr, to: pdu.destination_addr });
    sendBack(session, pdu, whole);
  }
}

function sendReceipt(session, pdu, number) {
  const id = String(number).padStart(10, '0');
  const words = `id:${id} sub:001 dlvrd:001 submit date:2605281200 done date:2605281201 stat:DELIVRD err:000 text:`;
  deliver(session, pdu, { esm_class: 4, short_message: words });
}

function sendBack(session, pdu, whole) {
  const total = Math.ceil(whole.length / UNITS);
  for (let place = total; place > 0; place--) { // the last part first: the order of parts is no promise
    const message = whole.slice((place - 1) * UNITS, place * UNITS);
    const udh = Buffer.from([5, 0, 3, 77, total, place]);
    deliver(session, pdu, { data_coding: 8, short_message: { udh, message } });
  }
}

function deliver(session, pdu, fields) {
  session.deliver_sm({
    source_addr_ton: pdu.dest_addr_ton,
    source_addr_npi: pdu.dest_addr_npi,
    source_addr: pdu.destination_addr,
    dest_addr_ton: pdu.source_addr_ton,
    dest_addr_npi: pdu.source_addr_npi,
    destination_addr: pdu.source_addr,
    ...fields,
  }, (answer) => tell({ thanked: answer.command_status }));
}

const server = smpp.createServer((session) => {
  const pieces = {};
  session.on('bind_transceiver', (pdu) => {
    const isKnown = pdu.password === PASSWORD;
    session.send(pdu.response({ system_id: 'npm', command_status: isKnown ? 0 : smpp.ESME_RINVPASWD }));
    tell({ bind: pdu.system_id, known: isKnown });
  });
  session.on('submit_sm', (pdu) => receive(session, pieces, pdu));
  session.on('enquire_link', (pdu) => session.send(pdu.response()));
  session.on('unbind', (pdu) => {
    session.send(pdu.response());
    session.close();
    tell({ unbound: true });
  });
  session.on('error', (error) => tell({ error: String(error) }));
});

server.listen(0, '127.0.0.1', () => tell({ listening: server.address().port }));
