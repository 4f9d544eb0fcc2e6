public struct OSLogPrivacy { public static let `public` = OSLogPrivacy() }
public struct OSLogMessage: ExpressibleByStringInterpolation {
    public struct StringInterpolation: StringInterpolationProtocol {
        public init(literalCapacity _: Int, interpolationCount _: Int) {}
        public mutating func appendLiteral(_: String) {}
        public mutating func appendInterpolation(_: String, privacy _: OSLogPrivacy = .public) {}
    }
    public init(stringLiteral _: String) {}
    public init(stringInterpolation _: StringInterpolation) {}
}
public struct Logger {
    public init(subsystem _: String, category _: String) {}
    public func warning(_: OSLogMessage) {}
    public func debug(_: OSLogMessage) {}
}
