"""Contacts: set members against a Hi-C map and TADs (config `contacts`)."""

HAS_CONTACTS = bool(config["contacts"]["map"] or config["contacts"]["tads"])
CONTACT_TABLES = [
    f"<results>/{name}.tsv"
    for name in ("contacts", "contact_members", "contacts_summary")
    if HAS_CONTACTS
]


rule measure_contacts:
    input:
        sets="<results>/sets.tsv",
        genes="<results>/genes.tsv.gz",
        accessibility="<results>/accessibility.tsv.gz",
        contacts=file_of("contacts", "map"),
        tads=file_of("contacts", "tads"),
    output:
        contacts=shown(
            "contacts.tsv",
            "6. Validation",
            "Contacts of the sets",
            caption="contacts_table",
        ),
        members="<results>/contact_members.tsv",
        summary=shown(
            "contacts_summary.tsv", "6. Validation", "Contacts of all sets together"
        ),
    log:
        "<results>/logs/measure_contacts.log",
    benchmark:
        "<results>/benchmarks/measure_contacts.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(4000, per_input_mb=50),
        runtime=minutes(120, per_input_mb=1),
    params:
        resolution_bp=config["contacts"]["resolution_bp"],
        assembly=config["input"].get("assembly"),
        seed=seed_for("measure_contacts"),
        stamps=stamps("contacts."),
        code=code_of("measure_contacts"),
    script:
        "../scripts/measure_contacts.py"
