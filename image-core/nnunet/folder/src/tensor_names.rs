//! Names of tensors in a state dict.
//!
//! Every parameter of a conv block is registered twice and the whole encoder twice (as itself and within the decoder),
//! all on the same storages; wrappers put a prefix before all names.
//!
//! Source: dynamic_network_architectures 0.4.4, `building_blocks/simple_conv_blocks.py`,
//! `building_blocks/unet_decoder.py`; torch `DataParallel`, `OptimizedModule`.

/// Strips `module.` and `_orig_mod.`, in any order and number.
pub(crate) fn strip_prefixes(mut name: &str) -> &str {
    while let Some(rest) = name
        .strip_prefix("module.")
        .or_else(|| name.strip_prefix("_orig_mod."))
    {
        name = rest;
    }
    name
}

/// The name under which a parameter is read: `decoder.encoder.X` is `encoder.X`, `P.all_modules.0.Y` is `P.conv.Y`,
/// `P.all_modules.1.Y` is `P.norm.Y` (`2` where dropout or the nonlinearity stands before the norm; these have no
/// parameters).
pub(crate) fn canonical(name: &str) -> String {
    let name = strip_prefixes(name);
    let name = match name.strip_prefix("decoder.encoder.") {
        Some(rest) => format!("encoder.{rest}"),
        None => name.to_owned(),
    };
    let Some((block, rest)) = name.rsplit_once(".all_modules.") else {
        return name;
    };
    match rest.split_once('.') {
        Some(("0", parameter)) => format!("{block}.conv.{parameter}"),
        Some(("1" | "2", parameter)) => format!("{block}.norm.{parameter}"),
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_and_prefixes_lead_to_one_name() {
        let check = |name: &str, expected: &str| assert_eq!(canonical(name), expected);
        check(
            "encoder.stages.0.0.convs.0.conv.weight",
            "encoder.stages.0.0.convs.0.conv.weight",
        );
        check(
            "encoder.stages.0.0.convs.0.all_modules.0.weight",
            "encoder.stages.0.0.convs.0.conv.weight",
        );
        check(
            "encoder.stages.0.0.convs.0.all_modules.1.bias",
            "encoder.stages.0.0.convs.0.norm.bias",
        );
        check(
            "encoder.stages.0.0.convs.0.all_modules.2.bias",
            "encoder.stages.0.0.convs.0.norm.bias",
        );
        check(
            "decoder.encoder.stages.0.blocks.1.skip.1.all_modules.0.weight",
            "encoder.stages.0.blocks.1.skip.1.conv.weight",
        );
        check(
            "module._orig_mod.decoder.encoder.stem.convs.0.conv.bias",
            "encoder.stem.convs.0.conv.bias",
        );
        check(
            "_orig_mod.module.decoder.seg_layers.0.bias",
            "decoder.seg_layers.0.bias",
        );
        check(
            "decoder.stages.0.convs.0.all_modules.9.weight",
            "decoder.stages.0.convs.0.all_modules.9.weight",
        );
        check("encoder.module.weight", "encoder.module.weight");
        check("", "");
    }
}
