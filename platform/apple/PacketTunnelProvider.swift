import Network
import NetworkExtension
import CTunProxyUtun
import TunProxy
import os

/// A packet tunnel over `TunProxy`. The keys of docs/configuration.md stand in `providerConfiguration` under "config"
/// as TOML; secrets come from the keychain by `passwordReference`, as the password. "excludedRoutes" lists blocks
/// that stay outside. An app may subclass it to answer questions.
///
/// The provider's own sockets bypass its tunnel, so nothing needs to be protected.
open class PacketTunnelProvider: NEPacketTunnelProvider, TunProxyDelegate {
    private let log = Logger(subsystem: "org.tunproxy", category: "tunnel")
    private let paths = NWPathMonitor()
    private var pathBefore: NWPath?
    private var tunnel: TunProxy?
    private let startLock = NSLock()
    private var started: ((Error?) -> Void)?  // under the lock
    private var memory: DispatchSourceTimer?
    private static let mtu: UInt16 = 1400
    private static let stopSeconds: TimeInterval = 5
    private static let littleMemory = 8 << 20  // bytes that are left before the system ends the process
    private static let veryLittleMemory = 4 << 20

    // MARK: NEPacketTunnelProvider

    override open func startTunnel(options _: [String: NSObject]?,
                                   completionHandler: @escaping (Error?) -> Void) {
        startLock.lock()
        started = completionHandler
        startLock.unlock()
        setTunnelNetworkSettings(networkSettings()) { [weak self] error in
            guard let self else { return }
            if let error { self.finishStart(error); return }
            do {
                try self.run()
            } catch {
                self.finishStart(error)
            }
        }
    }

    override open func stopTunnel(with _: NEProviderStopReason, completionHandler: @escaping () -> Void) {
        paths.cancel()
        memory?.cancel()
        try? tunnel?.stop(timeout: Self.stopSeconds)
        tunnel = nil
        completionHandler()
    }

    override open func sleep(completionHandler: @escaping () -> Void) {
        tunnel?.pause()
        completionHandler()
    }

    override open func wake() { tunnel?.wake() }

    /// Any message is answered with the counters, as JSON.
    override open func handleAppMessage(_: Data, completionHandler: ((Data?) -> Void)?) {
        guard let stats = try? tunnel?.stats() else { completionHandler?(nil); return }
        let status: [String: UInt64] = [
            "state": UInt64(stats.state.rawValue), "sessions": UInt64(stats.sessions),
            "tcp_flows": UInt64(stats.tcp_flows), "udp_flows": UInt64(stats.udp_flows),
            "bytes_up": stats.bytes_up, "bytes_down": stats.bytes_down, "reconnects": stats.reconnects,
        ]
        completionHandler?(try? JSONSerialization.data(withJSONObject: status))
    }

    /// Packets by the interface's descriptor instead of `packetFlow`: fewer copies, but a descriptor that Apple's API
    /// does not name. Where none is found, `packetFlow` is used.
    open var usesDescriptor: Bool { false }

    // MARK: what the interface is

    /// Everything of both families and all names: without any of them traffic would leak.
    open func networkSettings() -> NEPacketTunnelNetworkSettings {
        let settings = NEPacketTunnelNetworkSettings(tunnelRemoteAddress: "127.0.0.1")
        let v4 = NEIPv4Settings(addresses: ["10.111.222.1"], subnetMasks: ["255.255.255.252"])
        v4.includedRoutes = [.default()]
        let v6 = NEIPv6Settings(addresses: ["fd74:756e:7072:6f78::1"], networkPrefixLengths: [126])
        v6.includedRoutes = [.default()]
        for block in setting("excludedRoutes") as? [String] ?? [] { exclude(block, v4, v6) }
        settings.ipv4Settings = v4
        settings.ipv6Settings = v6
        let names = NEDNSSettings(servers: ["10.111.222.2", "fd74:756e:7072:6f78::2"])
        names.matchDomains = [""]
        settings.dnsSettings = names
        settings.mtu = NSNumber(value: Self.mtu)
        return settings
    }

    private func exclude(_ block: String, _ v4: NEIPv4Settings, _ v6: NEIPv6Settings) {
        let parts = block.split(separator: "/").map(String.init)
        guard parts.count == 2, let length = Int(parts[1]) else { return }
        if IPv6Address(parts[0]) != nil {
            let route = NEIPv6Route(destinationAddress: parts[0], networkPrefixLength: NSNumber(value: length))
            v6.excludedRoutes = (v6.excludedRoutes ?? []) + [route]
        } else if IPv4Address(parts[0]) != nil, (0...32).contains(length) {
            let mask = length == 0 ? 0 : UInt32.max << (32 - UInt32(length))
            let text = (0..<4).map { String((mask >> (24 - 8 * UInt32($0))) & 255) }.joined(separator: ".")
            let route = NEIPv4Route(destinationAddress: parts[0], subnetMask: text)
            v4.excludedRoutes = (v4.excludedRoutes ?? []) + [route]
        }
    }

    private func setting(_ key: String) -> Any? {
        (protocolConfiguration as? NETunnelProviderProtocol)?.providerConfiguration?[key]
    }

    // MARK: the tunnel

    private func run() throws {
        let made = try TunProxy(delegate: self)
        try made.set("profile", "mobile")
        if let text = setting("config") as? String { try made.set(toml: text) }
        if let password = try password() { try made.set(secret: "ssh-password", password) }
        tunnel = made
        if try !startByDescriptor(made) {
            try made.startPackets(mtu: Self.mtu)
            readPackets()
        }
        watchPaths()
        watchMemory()
    }

    /// The library closes what it is given: it gets a copy.
    private func startByDescriptor(_ made: TunProxy) throws -> Bool {
        guard usesDescriptor else { return false }
        let copy = dup(tunproxy_find_utun())
        guard copy >= 0 else { return false }
        do {
            try made.start(fileDescriptor: copy, mtu: Self.mtu)
            return true
        } catch {
            close(copy)
            throw error
        }
    }

    private func password() throws -> Data? {
        guard let reference = protocolConfiguration.passwordReference else { return nil }
        let query: [CFString: Any] = [kSecClass: kSecClassGenericPassword, kSecReturnData: true,
                                      kSecValuePersistentRef: reference]
        var found: CFTypeRef?
        let status = SecItemCopyMatching(query as CFDictionary, &found)
        guard status == errSecSuccess else {
            throw NSError(domain: NSOSStatusErrorDomain, code: Int(status))
        }
        return found as? Data
    }

    private func readPackets() {
        packetFlow.readPackets { [weak self] packets, _ in
            guard let self, let tunnel = self.tunnel else { return }
            tunnel.push(packets)
            self.readPackets()
        }
    }

    private func watchPaths() {
        paths.pathUpdateHandler = { [weak self] path in
            guard let self else { return }
            defer { self.pathBefore = path }
            if let before = self.pathBefore, before != path { self.tunnel?.networkChanged() }
        }
        paths.start(queue: .global(qos: .utility))
    }

    /// The system ends an extension that takes too much, without a warning.
    private func watchMemory() {
        #if os(iOS)
        let timer = DispatchSource.makeTimerSource(queue: .global(qos: .utility))
        timer.schedule(deadline: .now() + 5, repeating: 5, leeway: .seconds(2))
        timer.setEventHandler { [weak self] in
            let left = os_proc_available_memory()
            let pressure: TunProxyPressure =
                left < Self.veryLittleMemory ? .critical : left < Self.littleMemory ? .moderate : .none
            self?.tunnel?.memoryPressure(pressure)
        }
        timer.resume()
        memory = timer
        #endif
    }

    /// Once; false if the start was over. From threads of the system and of the library.
    @discardableResult
    private func finishStart(_ error: Error?) -> Bool {
        startLock.lock()
        let done = started
        started = nil
        startLock.unlock()
        done?(error)
        return done != nil
    }

    // MARK: TunProxyDelegate

    open func tunnel(_: TunProxy, changedTo state: TunProxyState, reason: TunProxyError?) {
        switch state {
        case .online:
            reasserting = false
            finishStart(nil)
        case .reconnecting:
            reasserting = true
        case .failed:
            reasserting = false
            if !finishStart(reason) { cancelTunnelWithError(reason) }
        default:
            break
        }
    }

    open func tunnel(_: TunProxy, logged line: String, level: UInt32) {
        level >= 3 ? log.warning("\(line, privacy: .public)") : log.debug("\(line)")
    }

    open func tunnel(_: TunProxy, wrote packets: [Data], families: [NSNumber]) {
        packetFlow.writePackets(packets, withProtocols: families)
    }

    open func tunnel(_: TunProxy, asks question: TunProxyQuestion, about _: TunProxyHostKey) {
        question.refuse()
    }

    open func tunnel(_: TunProxy, asks question: TunProxyQuestion, prompt _: String, echo _: Bool) {
        question.refuse()
    }
}
