// js-libp2p calls Promise.withResolvers, which Node has from version 22 on.
Promise.withResolvers ??= function () {
  const parts = {}
  parts.promise = new this((resolve, reject) => Object.assign(parts, { resolve, reject }))
  return parts
}
