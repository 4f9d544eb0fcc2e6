import Dispatch

public struct NWPath: Equatable {}
public final class NWPathMonitor {
    public init() {}
    public var pathUpdateHandler: ((NWPath) -> Void)?
    public func start(queue _: DispatchQueue) {}
    public func cancel() {}
}
public struct IPv4Address { public init?(_: String) {} }
public struct IPv6Address { public init?(_: String) {} }
