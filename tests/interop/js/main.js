// A js-libp2p node under the control protocol of ../README.md.
import './with-resolvers.js'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { identify, identifyPush } from '@libp2p/identify'
import { kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import { noise } from '@libp2p/noise'
import { peerIdFromString } from '@libp2p/peer-id'
import { ping } from '@libp2p/ping'
import { preSharedKey } from '@libp2p/pnet'
import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createIPNSRecord, marshalIPNSRecord, multihashToIPNSRoutingKey } from 'ipns'
import { ipnsSelector } from 'ipns/selector'
import { ipnsValidator } from 'ipns/validator'
import { createLibp2p } from 'libp2p'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import * as Digest from 'multiformats/hashes/digest'
import { MAX_STREAMS, serveStreams, streamOperations } from './streams.js'

const PUBLIC_PROTOCOL = '/ipfs/kad/1.0.0'
const OPERATION_TIMEOUT_MS = 30_000

const { values: options } = parseArgs({
  options: {
    protocol: { type: 'string', default: PUBLIC_PROTOCOL },
    mode: { type: 'string', default: 'server' },
    security: { type: 'string', default: 'noise' },
    'key-type': { type: 'string', default: 'ed25519' },
    'swarm-key': { type: 'string' },
    bootstrap: { type: 'string', multiple: true, default: [] }
  }
})

const emit = message => process.stdout.write(JSON.stringify(message) + '\n')
const fromHex = text => Uint8Array.from(Buffer.from(text.slice(2), 'hex'))
const toHex = bytes => '0x' + Buffer.from(bytes).toString('hex')
const asText = items => items.map(String)

// A record needs a validator for the first part of its key, on a private network as well.
const PUBLIC_RECORDS = { validators: { ipns: ipnsValidator }, selectors: { ipns: ipnsSelector } }
const PRIVATE_RECORDS = { validators: { interop: () => {} }, selectors: { interop: () => 0 } }

const KEY_TYPES = { ed25519: 'Ed25519', secp256k1: 'secp256k1', ecdsa: 'ECDSA', rsa: 'RSA' }

const privateKey = await generateKeyPair(KEY_TYPES[options['key-type']])
const node = await createLibp2p({
  privateKey,
  addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
  transports: [tcp()],
  connectionEncrypters: [options.security === 'tls' ? tls() : noise()],
  connectionProtector: options['swarm-key'] == null
    ? undefined
    : preSharedKey({ psk: readFileSync(options['swarm-key']) }),
  streamMuxers: [yamux({ maxInboundStreams: MAX_STREAMS, maxOutboundStreams: MAX_STREAMS })],
  // By default a host may connect 5 times a second: here every node is on the same host.
  connectionManager: { inboundConnectionThreshold: Infinity },
  services: {
    identify: identify(),
    identifyPush: identifyPush(),
    // One more than the connection monitor takes for its own pings.
    ping: ping({ maxOutboundStreams: 2 }),
    dht: kadDHT({
      protocol: options.protocol,
      clientMode: options.mode === 'client',
      peerInfoMapper: passthroughMapper,
      initialQuerySelfInterval: 100,
      ...(options.protocol === PUBLIC_PROTOCOL ? PUBLIC_RECORDS : PRIVATE_RECORDS)
    })
  }
})
const { dht } = node.services

async function * select (name, events) {
  for await (const event of events) {
    if (event.name === name) {
      yield event
    }
  }
}

async function drain (events) {
  for await (const _ of events); // eslint-disable-line no-unused-vars
}

const withTimeout = () => ({ signal: AbortSignal.timeout(OPERATION_TIMEOUT_MS) })
const contentId = key => CID.createV1(raw.code, Digest.decode(fromHex(key)))
const describe = (type, { id, multiaddrs }) => ({ type, id: String(id), addrs: asText(multiaddrs) })

const operations = {
  ...streamOperations(node),

  async * connect ({ addr }) {
    await node.dial(multiaddr(addr), withTimeout())
  },

  async * ping ({ addr }) {
    const time = await node.services.ping.ping(multiaddr(addr), withTimeout())
    yield { type: 'pong', rtt_ms: time }
  },

  async * 'find-peer' ({ peer }) {
    const events = dht.findPeer(peerIdFromString(peer), withTimeout())
    for await (const event of select('FINAL_PEER', events)) {
      yield describe('peer', event.peer)
      return
    }
  },

  async * closest ({ key }) {
    const events = dht.getClosestPeers(fromHex(key), withTimeout())
    for await (const event of select('FINAL_PEER', events)) {
      yield describe('peer', event.peer)
    }
  },

  async * put ({ key, value }) {
    await drain(dht.put(fromHex(key), fromHex(value), withTimeout()))
  },

  async * get ({ key }) {
    const events = dht.get(fromHex(key), withTimeout())
    for await (const event of select('VALUE', events)) {
      yield { type: 'value', key, value: toHex(event.value), from: String(event.from) }
    }
  },

  // Makes a record of this node's own name, and puts it nowhere.
  async * 'make-ipns' ({ path, sequence, lifetime_s: lifetime }) {
    const record = await createIPNSRecord(privateKey, path, sequence, lifetime * 1000)
    const key = multihashToIPNSRoutingKey(privateKey.publicKey.toMultihash())
    yield { type: 'record', key: toHex(key), value: toHex(marshalIPNSRecord(record)) }
  },

  async * provide ({ key }) {
    await drain(dht.provide(contentId(key), withTimeout()))
  },

  async * 'find-providers' ({ key, count = Infinity }) {
    let found = 0
    const events = dht.findProviders(contentId(key), withTimeout())
    for await (const event of select('PROVIDER', events)) {
      for (const provider of event.providers) {
        yield describe('provider', provider)
        found++
      }
      if (found >= count) {
        return
      }
    }
  }
}

async function answer ({ tag, op, ...request }) {
  const started = performance.now()
  const end = result => emit({ tag, type: 'end', result, elapsed_ms: performance.now() - started })
  try {
    for await (const result of operations[op](request)) {
      emit({ tag, ...result })
    }
    end('ok')
  } catch (error) {
    emit({ tag, type: 'error', error: error.name, message: error.message })
    end('failed')
  }
}

async function joinNetwork () {
  if (options.bootstrap.length === 0) {
    return
  }
  const joined = new Promise(resolve => {
    dht.routingTable.addEventListener('peer:add', resolve, { once: true })
  })
  await Promise.all(options.bootstrap.map(address => node.dial(multiaddr(address))))
  await joined
}

node.addEventListener('peer:identify', ({ detail }) => emit({
  type: 'identified',
  id: String(detail.peerId),
  agent: detail.agentVersion,
  protocols: detail.protocols,
  addrs: asText(detail.listenAddrs),
  observed: detail.observedAddr?.toString()
}))
await serveStreams(node, emit)
emit({ type: 'listening', id: String(node.peerId), addrs: asText(node.getMultiaddrs()) })
await joinNetwork()
emit({ type: 'ready', peers: node.getPeers().length })

const requests = createInterface({ input: process.stdin })
requests.on('line', line => answer(JSON.parse(line)))
await once(requests, 'close')
process.exit(0)
