# shellcheck shell=bash
# The mask services as one static binary. Sourced.

STATIC_TARGET=x86_64-unknown-linux-musl

# static_mask_services CACHE: builds it in a folder of its own below CACHE, so that no other build waits. Hardly optimized,
# unlike what users build: the container tests show no speed, and minutes count.
static_mask_services() {
    { rustup target list --installed | grep -qx $STATIC_TARGET || rustup target add $STATIC_TARGET; } &&
        CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_DEBUG=false \
        cargo build --release --locked --target $STATIC_TARGET --target-dir "$1/target" -p nephrite-mask-services
}
