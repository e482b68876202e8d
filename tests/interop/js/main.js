// A js-libp2p node under the control protocol of ../README.md.
import './with-resolvers.js'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { identify, identifyPush } from '@libp2p/identify'
import { kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import { noise } from '@libp2p/noise'
import { peerIdFromString } from '@libp2p/peer-id'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import * as Digest from 'multiformats/hashes/digest'

const PUBLIC_PROTOCOL = '/ipfs/kad/1.0.0'
const OPERATION_TIMEOUT_MS = 30_000

const { values: options } = parseArgs({
  options: {
    protocol: { type: 'string', default: PUBLIC_PROTOCOL },
    mode: { type: 'string', default: 'server' },
    bootstrap: { type: 'string', multiple: true, default: [] }
  }
})

const emit = message => process.stdout.write(JSON.stringify(message) + '\n')
const fromHex = text => Uint8Array.from(Buffer.from(text.slice(2), 'hex'))
const toHex = bytes => '0x' + Buffer.from(bytes).toString('hex')
const asText = items => items.map(String)

// js-libp2p takes no record whose first name has no validator, not even on a private network.
const PRIVATE_RECORDS = { validators: { interop: () => {} }, selectors: { interop: () => 0 } }

const node = await createLibp2p({
  addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  // By default only 5 connections a second are taken from one host: here every node is on the same one.
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
      ...(options.protocol === PUBLIC_PROTOCOL ? {} : PRIVATE_RECORDS)
    })
  }
})
const { dht } = node.services

async function * select (events, name) {
  for await (const event of events) {
    if (event.name === name) {
      yield event
    }
  }
}

async function drain (events) {
  for await (const _ of events); // eslint-disable-line no-unused-vars
}

const signal = () => AbortSignal.timeout(OPERATION_TIMEOUT_MS)
const contentId = key => CID.createV1(raw.code, Digest.decode(fromHex(key)))
const peerResult = ({ id, multiaddrs }) => ({ type: 'peer', id: String(id), addrs: asText(multiaddrs) })

const operations = {
  async * connect ({ addr }) {
    await node.dial(multiaddr(addr), { signal: signal() })
  },

  async * ping ({ addr }) {
    yield { type: 'pong', rtt_ms: await node.services.ping.ping(multiaddr(addr), { signal: signal() }) }
  },

  async * 'find-peer' ({ peer }) {
    for await (const event of select(dht.findPeer(peerIdFromString(peer), { signal: signal() }), 'FINAL_PEER')) {
      yield peerResult(event.peer)
      return
    }
  },

  async * closest ({ key }) {
    for await (const event of select(dht.getClosestPeers(fromHex(key), { signal: signal() }), 'FINAL_PEER')) {
      yield peerResult(event.peer)
    }
  },

  async * put ({ key, value }) {
    await drain(dht.put(fromHex(key), fromHex(value), { signal: signal() }))
  },

  async * get ({ key }) {
    for await (const event of select(dht.get(fromHex(key), { signal: signal() }), 'VALUE')) {
      yield { type: 'value', key, value: toHex(event.value), from: String(event.from) }
    }
  },

  async * provide ({ key }) {
    await drain(dht.provide(contentId(key), { signal: signal() }))
  },

  async * 'find-providers' ({ key, count = Infinity }) {
    let found = 0
    for await (const event of select(dht.findProviders(contentId(key), { signal: signal() }), 'PROVIDER')) {
      for (const provider of event.providers) {
        yield { ...peerResult(provider), type: 'provider' }
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
  const joined = options.bootstrap.length > 0 && dht.routingTable.size === 0 && new Promise(resolve => {
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
emit({ type: 'listening', id: String(node.peerId), addrs: asText(node.getMultiaddrs()) })
await joinNetwork()
emit({ type: 'ready', peers: node.getPeers().length })

const requests = createInterface({ input: process.stdin })
requests.on('line', line => answer(JSON.parse(line)))
await once(requests, 'close')
process.exit(0)
