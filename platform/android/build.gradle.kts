// An AAR with the Java classes, libtunproxy_jni.so for four ABIs, and libtunproxy.so with its header as a prefab module.
//
//   tools/scripts/fetch-sources.sh --all build/third_party    (on Debian or a relative; needs perl, make and patch)
//   cd platform/android && gradle assembleRelease
plugins {
    id("com.android.library") version "8.7.3"
}

val root = rootDir.resolve("../..")
val prefabHeaders = layout.buildDirectory.dir("prefab-headers")

android {
    namespace = "org.tunproxy.android"
    compileSdk = 35
    ndkVersion = "28.0.12674087" // pages of 16 KB are its default

    defaultConfig {
        minSdk = 24
        consumerProguardFiles("consumer-rules.pro")
        ndk {
            abiFilters += listOf("arm64-v8a", "armeabi-v7a", "x86_64", "x86")
        }
        externalNativeBuild {
            cmake {
                arguments += listOf(
                    "-DTUNPROXY_LIBRARY_ONLY=ON",
                    "-DTUNPROXY_JNI=ON",
                    "-DTUNPROXY_THIRD_PARTY=${root.resolve("build/third_party")}",
                    "-DANDROID_STL=c++_static",
                    "-DANDROID_SUPPORT_FLEXIBLE_PAGE_SIZES=ON",
                )
                targets += listOf("tunproxy_jni", "tunproxy_c")
            }
        }
    }

    sourceSets["main"].java.srcDirs("src/main/java", root.resolve("bindings/jni/java"))

    externalNativeBuild {
        cmake {
            path = root.resolve("CMakeLists.txt")
            version = "3.31.1"
        }
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_11
        targetCompatibility = JavaVersion.VERSION_11
    }

    buildFeatures {
        prefabPublishing = true
    }
    prefab {
        create("tunproxy_c") { // the target of CMake; apps link to tunproxy::tunproxy_c
            libraryName = "libtunproxy"
            headers = prefabHeaders.get().asFile.path
        }
    }
}

// The directory of the header holds sources as well, which are nobody's business.
val copyHeader by tasks.registering(Copy::class) {
    from(root.resolve("bindings/c/tunproxy.h"))
    into(prefabHeaders)
}
tasks.named("preBuild") { dependsOn(copyHeader) }
