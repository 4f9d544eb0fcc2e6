// swift-tools-version:5.9
import PackageDescription

// The binary target is made by platform/apple/build-xcframework.sh.
let package = Package(
    name: "TunProxy",
    platforms: [.iOS(.v15), .macOS(.v12)],
    products: [.library(name: "TunProxy", targets: ["TunProxy", "CTunProxyUtun"])],
    targets: [
        .binaryTarget(name: "CTunProxy", path: "../../build/apple/CTunProxy.xcframework"),
        .target(name: "CTunProxyUtun"),
        .target(name: "TunProxy", dependencies: ["CTunProxy"]),
    ]
)
