// Stubs of Apple's classes, to check PacketTunnelProvider's types where there is no SDK of Apple's.
@_exported import Foundation

public enum NEProviderStopReason: Int { case none }

open class NEVPNProtocol { public var passwordReference: Data? }
open class NETunnelProviderProtocol: NEVPNProtocol { public var providerConfiguration: [String: Any]? }

open class NEIPv4Route {
    public init(destinationAddress _: String, subnetMask _: String) {}
    public class func `default`() -> NEIPv4Route { NEIPv4Route(destinationAddress: "0.0.0.0", subnetMask: "0.0.0.0") }
}
open class NEIPv6Route {
    public init(destinationAddress _: String, networkPrefixLength _: NSNumber) {}
    public class func `default`() -> NEIPv6Route { NEIPv6Route(destinationAddress: "::", networkPrefixLength: 0) }
}
open class NEIPv4Settings {
    public init(addresses _: [String], subnetMasks _: [String]) {}
    public var includedRoutes: [NEIPv4Route]?
    public var excludedRoutes: [NEIPv4Route]?
}
open class NEIPv6Settings {
    public init(addresses _: [String], networkPrefixLengths _: [NSNumber]) {}
    public var includedRoutes: [NEIPv6Route]?
    public var excludedRoutes: [NEIPv6Route]?
}
open class NEDNSSettings {
    public init(servers _: [String]) {}
    public var matchDomains: [String]?
}
open class NEPacketTunnelNetworkSettings {
    public init(tunnelRemoteAddress _: String) {}
    public var ipv4Settings: NEIPv4Settings?
    public var ipv6Settings: NEIPv6Settings?
    public var dnsSettings: NEDNSSettings?
    public var mtu: NSNumber?
}

open class NEPacketTunnelFlow {
    public func readPackets(completionHandler _: @escaping ([Data], [NSNumber]) -> Void) {}
    @discardableResult
    public func writePackets(_: [Data], withProtocols _: [NSNumber]) -> Bool { true }
}

open class NEPacketTunnelProvider {
    public init() {}
    public let packetFlow = NEPacketTunnelFlow()
    public let protocolConfiguration = NEVPNProtocol()
    public var reasserting = false
    open func startTunnel(options _: [String: NSObject]?, completionHandler _: @escaping (Error?) -> Void) {}
    open func stopTunnel(with _: NEProviderStopReason, completionHandler _: @escaping () -> Void) {}
    open func sleep(completionHandler _: @escaping () -> Void) {}
    open func wake() {}
    open func handleAppMessage(_: Data, completionHandler _: ((Data?) -> Void)?) {}
    public func setTunnelNetworkSettings(_: NEPacketTunnelNetworkSettings?,
                                         completionHandler _: ((Error?) -> Void)?) {}
    public func cancelTunnelWithError(_: Error?) {}
}

// Of Security and CoreFoundation, which come with Foundation on Apple's systems.
public typealias CFString = String
public typealias CFDictionary = [String: Any]
public typealias CFTypeRef = AnyObject
public typealias OSStatus = Int32
public let kSecClass = "", kSecClassGenericPassword = "", kSecReturnData = "", kSecValuePersistentRef = ""
public let errSecSuccess: OSStatus = 0
public let NSOSStatusErrorDomain = ""
public func SecItemCopyMatching(_: CFDictionary, _: UnsafeMutablePointer<CFTypeRef?>?) -> OSStatus { errSecSuccess }
