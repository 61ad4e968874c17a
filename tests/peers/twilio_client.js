// A program made of the npm package `twilio`, by which the tests see that it works here unchanged but for its address.
//
//   node twilio_client.js OPTIONS      then one JSON object on stdout: what it saw
//
// OPTIONS is a JSON object: {"api", "account", "user", "token", "to", "from", "texts": how many are sent,
// "callback": where their fate is told}; or {"validate": [{"url", "form", "signature"}], "token"}, of which it says
// which its validator accepts.

'use strict';

const twilio = require('twilio');

const options = JSON.parse(process.argv[2]);

async function refused(work) {
  try {
    await work();
  } catch (error) {
    return { status: error.status, code: error.code, message: error.message, moreInfo: error.moreInfo };
  }
  return null;
}

async function talk() {
  const client = twilio(options.user, options.token, { accountSid: options.account });
  client.api.baseUrl = options.api;
  const made = [];
  for (let number = 0; number < options.texts; number += 1) {
    made.push(await client.messages.create({
      to: options.to, from: options.from, body: `text ${number} ☕`, statusCallback: options.callback,
    }));
  }
  const first = made[0];
  const planned = await client.messages.create({
    to: options.to, messagingServiceSid: `MG${'a'.repeat(32)}`, body: 'later', scheduleType: 'fixed',
    sendAt: new Date(Date.now() + 86400000),
  });
  const stranger = twilio(options.account, 'wrong', { accountSid: options.account });
  stranger.api.baseUrl = options.api;
  return {
    made: made.map((each) => each.sid),
    created: { status: first.status, direction: first.direction, segments: first.numSegments, price: first.price,
      at: first.dateCreated.toISOString() },
    fetched: (await client.messages(first.sid).fetch()).body,
    listed: (await client.messages.list({ to: options.to, pageSize: 3 })).map((each) => each.sid),
    today: (await client.messages.list({ to: options.to, dateSent: new Date(), limit: 2 })).length,
    later: (await client.messages.list({ to: options.to, dateSentAfter: new Date(Date.now() + 172800000) })).length,
    planned: planned.status,
    canceled: (await client.messages(planned.sid).update({ status: 'canceled' })).status,
    badNumber: await refused(() => client.messages.create({ to: '+1', from: options.from, body: 'x' })),
    noSuch: await refused(() => client.messages(`SM${'0'.repeat(31)}1`).fetch()),
    deleted: await refused(() => client.messages(first.sid).remove()),
    wrongToken: await refused(() => stranger.messages(first.sid).fetch()),
    account: (await client.api.v2010.accounts(options.account).fetch()).status,
    media: (await client.messages(first.sid).media.list()).length,
  };
}

function validate() {
  return options.validate.map((each) => twilio.validateRequest(options.token, each.signature, each.url, each.form));
}

(options.validate ? Promise.resolve(validate()) : talk()).then(
  (seen) => process.stdout.write(JSON.stringify(seen)),
  (error) => {
    process.stderr.write(String(error && error.stack));
    process.exitCode = 1;
  },
);
