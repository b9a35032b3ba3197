"""Names and arguments of other libraries, translated to aiobs's own; nothing is stored or traced here."""
