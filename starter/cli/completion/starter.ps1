# PowerShell completion for starter. Load it with: starter completion powershell | Out-String | Invoke-Expression
Register-ArgumentCompleter -Native -CommandName starter -ScriptBlock {
    param($word, $ast, $cursor)
    $words = @($ast.CommandElements | Where-Object { $_.Extent.EndOffset -lt $cursor } | Select-Object -Skip 1 | ForEach-Object {
        if ($null -ne $_.Value) { [string]$_.Value } else { $_.Extent.Text }
    })
    $current = $word.Trim('"', "'")
    if ($current -eq '') { $last = '""' } else { $last = $current }
    & $ast.CommandElements[0].Extent.Text __complete @words $last 2>$null | ForEach-Object {
        $value, $about = $_ -split "`t", 2
        if ($value.StartsWith($current)) {
            $text = $value
            if ($value -match '[\s''"`$;,()]') { $text = "'" + $value.Replace("'", "''") + "'" }
            if (-not $about) { $about = $value }
            [System.Management.Automation.CompletionResult]::new($text, $value, 'ParameterValue', $about)
        }
    }
}
