//! Writes the demo's patient and models, for whoever wants the data without the demo: `write_patient FOLDER [SEED]`.

use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("write_patient FOLDER [SEED]")?;
    let seed = arguments.next().map_or(Ok(7), |seed| seed.parse())?;
    nephrite_demo::write_patient(Path::new(&folder), seed)?;
    Ok(())
}
