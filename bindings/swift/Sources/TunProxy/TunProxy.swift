import CTunProxy
import Foundation

/// A call failed; the text says what was wrong, and what to do.
public struct TunProxyError: Error, CustomStringConvertible {
    /// The `tunproxy_result` of the C API.
    public let result: Int32
    public let description: String
}

/// Where a tunnel stands.
public enum TunProxyState: UInt32 {
    case idle, connecting, authenticating, online, reconnecting, stopped, failed
}

/// How hard the system is pressed for memory.
public enum TunProxyPressure: UInt32 {
    case none, moderate, critical
}

/// A question that can be answered once, now or later, from any thread.
public struct TunProxyQuestion {
    fileprivate let id: tunproxy_question
    fileprivate weak var tunnel: TunProxy?

    /// False: nobody waits for the answer any more.
    @discardableResult
    public func answer(_ text: String) -> Bool { tunnel?.answer(id, text) ?? false }

    /// The same for a secret, in UTF-8 and without a zero byte; the caller wipes it afterwards, as no String can be.
    @discardableResult
    public func answer(secret: Data) -> Bool {
        var text = secret + [0]
        defer { text.resetBytes(in: 0..<text.count) }
        return text.withUnsafeBytes { bytes in
            tunnel?.answer(id, bytes.bindMemory(to: CChar.self).baseAddress) ?? false
        }
    }

    @discardableResult
    public func refuse() -> Bool { tunnel?.answer(id, nil) ?? false }
}

/// A server's key that is not known yet.
public struct TunProxyHostKey {
    /// As it is written in a known_hosts file: "host" or "[host]:port".
    public let host: String
    /// "ssh-ed25519" …
    public let type: String
    /// "SHA256:…", as OpenSSH shows it.
    public let fingerprint: String
    /// To be kept, and set as `known-host` the next time: "host ssh-ed25519 AAAA…".
    public let line: String
}

/// What an app hears and is asked, in threads of the library. Everything has a default.
public protocol TunProxyDelegate: AnyObject {
    /// `reason` is nil, or what ended the last connection, or everything.
    func tunnel(_ tunnel: TunProxy, changedTo state: TunProxyState, reason: TunProxyError?)
    /// A line for people; `level` is that of the C API.
    func tunnel(_ tunnel: TunProxy, logged line: String, level: UInt32)
    /// Packets for the device, each with its address family.
    func tunnel(_ tunnel: TunProxy, wrote packets: [Data], families: [NSNumber])
    /// An unknown host key: answer with "yes", or refuse. What is accepted is kept by the library where `known-hosts`
    /// names a file, else by the app: `key.line`.
    func tunnel(_ tunnel: TunProxy, asks question: TunProxyQuestion, about key: TunProxyHostKey)
    /// The server asks the user; `echo` is false for secrets.
    func tunnel(_ tunnel: TunProxy, asks question: TunProxyQuestion, prompt: String, echo: Bool)
}

extension TunProxyDelegate {
    public func tunnel(_: TunProxy, changedTo _: TunProxyState, reason _: TunProxyError?) {}
    public func tunnel(_: TunProxy, logged _: String, level _: UInt32) {}
    public func tunnel(_: TunProxy, wrote _: [Data], families _: [NSNumber]) {}
    public func tunnel(_: TunProxy, asks question: TunProxyQuestion, about _: TunProxyHostKey) {
        question.refuse()
    }
    public func tunnel(_: TunProxy, asks question: TunProxyQuestion, prompt _: String, echo _: Bool) {
        question.refuse()
    }
}

/// What the library holds of a tunnel, as long as a callback may come.
private final class Ear {
    weak var tunnel: TunProxy?

    static func tunnel(_ user: UnsafeMutableRawPointer?) -> TunProxy? {
        user.flatMap { Unmanaged<Ear>.fromOpaque($0).takeUnretainedValue().tunnel }
    }
}

/// A tunnel: TCP and UDP of packets, or of a descriptor, through an SSH account or a SOCKS5 server. All methods may
/// be called from any thread; `start…` and `stop` not from a delegate's method.
public final class TunProxy {
    /// Told of everything; set it before `start…`.
    public weak var delegate: TunProxyDelegate?
    private var handle: OpaquePointer?
    private let ear: Unmanaged<Ear>

    /// The version of the library.
    public static var version: String { String(cString: tunproxy_version()) }

    public init(delegate: TunProxyDelegate? = nil) throws {
        self.delegate = delegate
        ear = Unmanaged.passRetained(Ear())
        var callbacks = tunproxy_callbacks()
        callbacks.size = MemoryLayout<tunproxy_callbacks>.size
        callbacks.user = ear.toOpaque()
        TunProxy.fill(&callbacks)
        ear.takeUnretainedValue().tunnel = self
        try check(tunproxy_create(&callbacks, &handle))
    }

    /// Waits for the end of the tunnel, unless a callback holds the last reference: then it ends afterwards.
    deinit {
        guard tunproxy_destroy(handle) == Int32(TUNPROXY_ERROR_CALLBACK.rawValue) else { return ear.release() }
        let address = UInt(bitPattern: handle), ear = ear
        DispatchQueue.global().async {
            _ = tunproxy_destroy(OpaquePointer(bitPattern: address))
            ear.release()
        }
    }

    // MARK: configuration

    /// One key of docs/configuration.md, such as `ssh`; a list gets one more value.
    public func set(_ key: String, _ value: String) throws {
        try check(tunproxy_set(handle, key, value))
    }

    /// All the keys of a TOML text, or none.
    public func set(toml text: String) throws { try check(tunproxy_set_toml(handle, text)) }

    /// A secret, such as `ssh-password` or `private-key`; the library's copy is wiped after use.
    public func set(secret key: String, _ value: Data) throws {
        try value.withUnsafeBytes { bytes in
            try check(tunproxy_set_secret(handle, key, bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 1),
                                          bytes.count))
        }
    }

    // MARK: life

    /// Packets go by `push` and the delegate.
    public func startPackets(mtu: UInt16) throws { try check(tunproxy_start_packets(handle, mtu)) }

    /// The descriptor is the library's on success.
    public func start(fileDescriptor: Int32, mtu: UInt16) throws {
        try check(tunproxy_start_fd(handle, fileDescriptor, mtu))
    }

    public func networkChanged() { _ = tunproxy_network_changed(handle) }
    public func pause() { _ = tunproxy_pause(handle) }
    public func wake() { _ = tunproxy_wake(handle) }
    public func memoryPressure(_ pressure: TunProxyPressure) {
        _ = tunproxy_memory_pressure(handle, tunproxy_pressure(rawValue: pressure.rawValue))
    }

    public func stop(timeout: TimeInterval) throws {
        try check(tunproxy_stop(handle, UInt32(max(0, timeout) * 1000)))
    }

    /// Counters of this moment.
    public func stats() throws -> tunproxy_stats {
        var stats = tunproxy_stats()
        stats.size = MemoryLayout<tunproxy_stats>.size
        try check(tunproxy_get_stats(handle, &stats))
        return stats
    }

    // MARK: packets

    /// Packets of the device; returns how many were taken. The rest did not fit, and may be dropped.
    @discardableResult
    public func push(_ packets: [Data]) -> Int {
        var lengths = 0
        for packet in packets { lengths += packet.count }
        var bytes = Data(capacity: lengths)  // one block, so that all pointers hold at the same time
        for packet in packets { bytes.append(packet) }
        return bytes.withUnsafeBytes { all -> Int in
            guard let base = all.bindMemory(to: UInt8.self).baseAddress else { return packets.count }
            var views: [tunproxy_packet] = []
            views.reserveCapacity(packets.count)
            var at = 0
            for packet in packets {
                views.append(tunproxy_packet(data: base + at, length: packet.count))
                at += packet.count
            }
            var taken = 0
            _ = tunproxy_push_packets(handle, views, views.count, &taken)
            return taken
        }
    }

    // MARK: inside

    fileprivate func answer(_ question: tunproxy_question, _ text: UnsafePointer<CChar>?) -> Bool {
        guard let text else { return tunproxy_refuse(handle, question) == Int32(TUNPROXY_OK.rawValue) }
        return tunproxy_answer(handle, question, text) == Int32(TUNPROXY_OK.rawValue)
    }

    private func check(_ result: Int32) throws {
        guard result != Int32(TUNPROXY_OK.rawValue) else { return }
        throw TunProxyError(result: result, description: String(cString: tunproxy_error_text()))
    }

    private static func fill(_ callbacks: inout tunproxy_callbacks) {
        callbacks.state = { user, state, reason, text in
            guard let tunnel = Ear.tunnel(user) else { return }
            let error = reason == TUNPROXY_OK ? nil : TunProxyError(
                result: Int32(reason.rawValue), description: String(cString: text!))
            tunnel.delegate?.tunnel(tunnel, changedTo: TunProxyState(rawValue: state.rawValue) ?? .failed,
                                    reason: error)
        }
        callbacks.log = { user, level, line in
            guard let tunnel = Ear.tunnel(user) else { return }
            tunnel.delegate?.tunnel(tunnel, logged: String(cString: line!), level: level.rawValue)
        }
        callbacks.verify_host_key = { user, id, key in
            guard let tunnel = Ear.tunnel(user) else { return }  // it ends, and with it the question
            let question = TunProxyQuestion(id: id, tunnel: tunnel)
            guard let delegate = tunnel.delegate, let key = key?.pointee else { question.refuse(); return }
            let shown = TunProxyHostKey(host: String(cString: key.host), type: String(cString: key.type),
                                        fingerprint: String(cString: key.fingerprint),
                                        line: String(cString: key.line))
            delegate.tunnel(tunnel, asks: question, about: shown)
        }
        callbacks.ask = { user, id, prompt, echo in
            guard let tunnel = Ear.tunnel(user) else { return }  // it ends, and with it the question
            let question = TunProxyQuestion(id: id, tunnel: tunnel)
            guard let delegate = tunnel.delegate else { question.refuse(); return }
            delegate.tunnel(tunnel, asks: question, prompt: String(cString: prompt!), echo: echo != 0)
        }
        callbacks.write_packets = { user, packets, count in
            guard let tunnel = Ear.tunnel(user) else { return }
            var data: [Data] = []
            var families: [NSNumber] = []
            for packet in UnsafeBufferPointer(start: packets, count: count) {
                data.append(Data(bytes: packet.data, count: packet.length))
                families.append(NSNumber(value: packet.data[0] >> 4 == 6 ? AF_INET6 : AF_INET))
            }
            tunnel.delegate?.tunnel(tunnel, wrote: data, families: families)
        }
    }
}
